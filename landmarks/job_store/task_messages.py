"""The worker's tasks as messages: names, arguments, queues. docs/indexing.md documents them.

A piece of a job's work is called by its field: `listing`, or `<model>/<chunk number>`,
`<model>/prune` or `<model>/promote`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

INDEX_TASK = "indexer_worker.index"
CHUNK_TASK = "indexer_worker.index_chunk"
PRUNE_TASK = "indexer_worker.prune"
PROMOTE_TASK = "indexer_worker.promote"
INDEX_QUEUE = "index"

LISTING = "listing"
PRUNING = "prune"
PROMOTION = "promote"


def encode_queue(model: str) -> str:
    """Return the queue of a model's chunks: one per model, so that each scales by itself."""
    return f"encode.{model}"


@dataclass(frozen=True)
class TaskMessage:
    """A task to enqueue; its arguments are JSON values."""

    task: str
    arguments: Mapping[str, str | int]
    queue: str


def job_message(job_id: str, *, resume: bool = False) -> TaskMessage:
    """Return the message that runs a job; `resume` enqueues its open work again too."""
    arguments: dict[str, str | int] = {"job_id": job_id}
    if resume:
        arguments["resume"] = True
    return TaskMessage(INDEX_TASK, arguments, INDEX_QUEUE)


def work_message(job_id: str, field: str) -> TaskMessage:
    """Return the message that does a piece of a job's work."""
    if field == LISTING:
        return job_message(job_id)
    model, _, what = field.partition("/")
    arguments: dict[str, str | int] = {"job_id": job_id, "model": model}
    if what == PRUNING:
        return TaskMessage(PRUNE_TASK, arguments, encode_queue(model))
    if what == PROMOTION:
        return TaskMessage(PROMOTE_TASK, arguments, encode_queue(model))
    return TaskMessage(CHUNK_TASK, {**arguments, "chunk": int(what)}, encode_queue(model))
