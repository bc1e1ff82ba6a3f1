"""The Celery app. Its tasks are in `tasks`; anybody may send them by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import copy_context

from celery import Celery
from kombu.exceptions import OperationalError

from indexer_worker.context import Runtime
from indexer_worker.settings import IndexerSettings
from landmarks.errors import UnavailableError
from landmarks.job_store.redis_client import TIMEOUT_SECONDS
from landmarks.job_store.spec import INDEX_QUEUE, VISIBILITY_TIMEOUT_SECONDS
from landmarks.observability.request_id import headers as request_headers

settings = IndexerSettings.load()

app = Celery("indexer_worker", broker=settings.broker_url, include=["indexer_worker.tasks"])
app.conf.update(
    task_serializer="json",
    accept_content=["json"],
    task_default_queue=INDEX_QUEUE,
    task_ignore_result=True,
    # A task is acknowledged when it has ended, and whether it ended well or not: what failed is
    # open in Redis still, and the sweeper enqueues it again.
    task_acks_late=True,
    task_acks_on_failure_or_timeout=True,
    worker_prefetch_multiplier=1,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_hijack_root_logger=False,
    worker_enable_remote_control=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={
        "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        # Else a publish waits for ever where the broker's machine is gone without a word.
        "socket_timeout": TIMEOUT_SECONDS,
    },
)


def send(task: str, arguments: Mapping[str, str | int], queue: str) -> None:
    """Enqueue a task; raises UnavailableError where the broker is not there."""

    def publish() -> None:
        app.send_task(
            task, kwargs=dict(arguments), queue=queue, retry=False, headers=request_headers()
        )

    try:
        # In a context of its own: the span of a publish that fails is left current.
        copy_context().run(publish)
    except (OperationalError, OSError) as error:
        raise UnavailableError(f"the broker cannot be reached: {error}") from error


_runtime: list[Runtime] = []


def runtime() -> Runtime:
    """Return what this process holds; made when first asked for."""
    if not _runtime:
        _runtime.append(Runtime(settings, send))
    return _runtime[0]
