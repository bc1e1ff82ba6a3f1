"""The Celery tasks. docs/indexing.md documents their arguments."""

from __future__ import annotations

import logging
import re
import sys
import uuid
from contextlib import ExitStack

from celery import Task, current_task
from celery.signals import (
    setup_logging,
    task_postrun,
    task_prerun,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from indexer_worker.app import app, context, settings
from indexer_worker.context import WorkerContext
from indexer_worker.index_chunk import run_chunk
from indexer_worker.job_runner import run_job
from indexer_worker.pruning import run_pruning
from indexer_worker.reindexing import run_promotion
from indexer_worker.retry import once
from landmarks.errors import AlreadyExistsError, ConfigurationError, InvalidInputError
from landmarks.job_store.spec import FLAGS, IndexSpec, checked_spec
from landmarks.job_store.task_messages import CHUNK_TASK, INDEX_TASK, PROMOTE_TASK, PRUNE_TASK
from landmarks.observability import request_id
from landmarks.observability.logging import configure_logging
from landmarks.observability.telemetry import telemetry
from landmarks.service import EXIT_CONFIGURATION

_NAME = "indexer_worker"
_telemetry = ExitStack()
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ARGUMENTS = frozenset(
    {"gallery", "source", "models", "splits", "source_name", "request_id"}
    | {"label", "ignore", *FLAGS}
)


@app.task(name=INDEX_TASK)
def index(
    *positional: object, job_id: str | None = None, resume: bool = False, **arguments: object
) -> dict[str, str]:
    """Run a job; without `job_id`, create it from the other arguments, which have names.

    `resume`: it has chunks that are not done and are in no queue.
    """
    worker = context()
    if job_id is None or positional:
        task_id = current_task.request.id or str(uuid.uuid4())
        job_id = create_job(worker, arguments, task_id, len(positional))
    if resume:
        for field in worker.jobs.open_work(job_id):
            worker.send_work(job_id, field)
    run_job(worker, job_id)
    return {"job_id": job_id}


@app.task(name=CHUNK_TASK)
def index_chunk(job_id: str, model: str, chunk: int) -> None:
    """Index one chunk of a job with one model."""
    run_chunk(context(), job_id, model, chunk)


@app.task(name=PRUNE_TASK)
def prune(job_id: str, model: str) -> None:
    """Delete one model's points of photos that the job did not list."""
    run_pruning(context(), job_id, model)


@app.task(name=PROMOTE_TASK)
def promote(job_id: str, model: str) -> None:
    """Promote the collection that the job built beside the live one."""
    run_promotion(context(), job_id, model)


def create_job(
    context: WorkerContext, arguments: dict[str, object], task_id: str, positional: int = 0
) -> str:
    """Create the job of a message without a job id, and return its id: that of the Celery task.

    So a message that is delivered twice creates one job, and its sender knows the job's id. Where
    the arguments cannot be used, the job exists to say why it failed.
    """
    job_id = task_id if _JOB_ID.fullmatch(task_id) else str(uuid.uuid5(uuid.NAMESPACE_OID, task_id))
    try:
        spec = checked_spec(_spec_of(arguments, positional), context.settings.encoders)
        return context.jobs.create(spec, str(arguments.get("request_id") or ""), job_id).id
    except (InvalidInputError, AlreadyExistsError) as error:
        reason = str(error)
    refused = IndexSpec(str(arguments.get("gallery", "")), str(arguments.get("source", "")), ())
    context.jobs.create(refused, "", job_id)
    context.jobs.fail(job_id, reason)
    return job_id


def _spec_of(arguments: dict[str, object], positional: int) -> IndexSpec:
    if positional:
        raise InvalidInputError(
            f"{INDEX_TASK} takes its arguments by name, and there are {positional} without one;"
            ' kwargs={"gallery": "landmarks", "source": "/photos"} has names'
        )
    unknown = sorted(set(arguments) - _ARGUMENTS)
    if unknown:
        raise InvalidInputError(
            f"{INDEX_TASK} takes no {', '.join(unknown)}; it takes {', '.join(sorted(_ARGUMENTS))}"
        )
    return IndexSpec.from_values(arguments)


def _is_ready() -> bool:
    """Return whether Redis has this worker's announcement of the last seconds."""
    worker = context()
    return once(worker.jobs).worker_is_announced(worker.name)


@setup_logging.connect
def _set_up_logging(**_: object) -> None:
    configure_logging(settings, _NAME)
    for name in ("celery.worker.strategy", "celery.app.trace"):  # a line or two for each chunk
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        _telemetry.enter_context(telemetry(settings, _NAME, _is_ready))
    except ConfigurationError as error:
        sys.stderr.write(f"{_NAME}: {error}\n")
        sys.exit(EXIT_CONFIGURATION)  # Celery would only log an error in a signal handler


@task_prerun.connect
def _begin(task: Task[..., object], **_: object) -> None:
    request_id.bind(task.request.get(request_id.HEADER))


@task_postrun.connect
def _end(**_: object) -> None:
    request_id.unbind()  # the thread runs other tasks after this


@worker_ready.connect
def _ready(**_: object) -> None:
    context().start_threads()


@worker_shutting_down.connect
def _shutting_down(**_: object) -> None:
    # Chunks that wait for an encoder, Qdrant or Redis are given back, so that stopping is prompt.
    context().stopping.set()


@worker_shutdown.connect
def _shut_down(**_: object) -> None:
    context().close()
    _telemetry.close()
