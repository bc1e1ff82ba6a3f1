"""The worker's Celery app. Its tasks are in `tasks`; anyone may send them by name."""

from __future__ import annotations

from indexer_worker.context import Runtime
from indexer_worker.settings import IndexerSettings
from landmarks.job_store.celery_app import TaskSender, celery_app

settings = IndexerSettings.load()
app = celery_app(settings.broker_url, include=("indexer_worker.tasks",))

_runtime: list[Runtime] = []


def runtime() -> Runtime:
    """Return what this process holds; made on first use."""
    if not _runtime:
        _runtime.append(Runtime(settings, TaskSender(app)))
    return _runtime[0]
