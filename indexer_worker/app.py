"""The worker's Celery app. Its tasks are in `tasks`; anyone may send them by name."""

from __future__ import annotations

from indexer_worker.context import WorkerContext
from indexer_worker.settings import IndexerSettings
from landmarks.job_store.celery_app import TaskSender, celery_app

settings = IndexerSettings.load()
app = celery_app(settings.broker_url, include=("indexer_worker.tasks",))

_context: list[WorkerContext] = []


def context() -> WorkerContext:
    """Return this process's context; the first call creates it."""
    if not _context:
        _context.append(WorkerContext(settings, TaskSender(app)))
    return _context[0]
