"""The Celery app, for those who send tasks and for the worker that runs them."""

from __future__ import annotations

from contextvars import copy_context
from types import TracebackType
from typing import Self

from celery import Celery
from kombu.exceptions import OperationalError

from landmarks.errors import UnavailableError
from landmarks.job_store.redis_client import TIMEOUT_SECONDS
from landmarks.job_store.task_messages import INDEX_QUEUE, TaskMessage
from landmarks.observability.request_id import headers as request_headers

# Seconds until Redis delivers an unacknowledged message again. The same in every process, as the
# smallest counts. Leases find dead workers long before; this is the backstop.
VISIBILITY_TIMEOUT_SECONDS = 3600


def celery_app(broker_url: str, *, include: tuple[str, ...] = ()) -> Celery:
    """Return an app over a broker; `include` names the modules whose tasks a worker runs."""
    app = Celery("indexer_worker", broker=broker_url, include=include, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_default_queue=INDEX_QUEUE,
        task_ignore_result=True,
        # A task is acknowledged when it ends, even if it failed: the work of a failed task is
        # still open in Redis, and the sweeper enqueues it again.
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
            # Without it, a publish hangs forever when the broker's machine vanishes.
            "socket_timeout": TIMEOUT_SECONDS,
        },
    )
    return app


class TaskSender:
    """Enqueues tasks; `retries` repeats a publish at once, as a pooled connection may be stale."""

    def __init__(self, app: Celery, *, retries: int = 0) -> None:
        self._app = app
        self._retries = retries

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def send(self, message: TaskMessage) -> None:
        """Enqueue a task; raises UnavailableError if the broker cannot be reached."""

        def publish() -> None:
            self._app.send_task(
                message.task,
                kwargs=dict(message.arguments),
                queue=message.queue,
                headers=request_headers(),
                retry=self._retries > 0,
                retry_policy={
                    "max_retries": self._retries,
                    "interval_start": 0,
                    "interval_step": 0.2,
                },
                ignore_result=True,
            )

        try:
            # In a context of its own: a failed publish leaves its span current.
            copy_context().run(publish)
        except (OperationalError, OSError) as error:
            raise UnavailableError(f"the broker cannot be reached: {error}") from error

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
