"""Comparing the copies of a collection in a cluster, and repairing what differs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.retry import once
from landmarks.errors import UnavailableError
from landmarks.job_store.copy_checks import CheckedNode, CopyCheck
from landmarks.job_store.records import Job
from landmarks.job_store.spec import JobKind
from landmarks.job_store.store import CollectionTarget
from landmarks.vector_store.copies import Comparison, CopyComparer, Node

_SHOW_SECONDS = 5.0


def check_copies(context: WorkerContext, job: Job, held: HeldLease) -> None:
    """Compare the copies of a collection, repair them if the job is to, and store the result.

    Raises UnavailableError while a node is away or a copy is not active: the job waits.
    """
    lineage = once(context.collections).lineage(job.spec.source)
    target = CollectionTarget(lineage.model, lineage.digest, lineage.name)
    context.jobs.set_targets(job.id, "", [target])
    nodes = context.retry.call(lambda: context.cluster.nodes_of(lineage.name))
    repaired = 0
    if job.spec.kind is JobKind.REPAIR and nodes:
        repaired = _repair(context, job, held, nodes)
    began, generation = datetime.now(UTC), context.jobs.next_generation()
    found = _comparer(context, job, held, nodes, "compared").compare(lineage.name)
    held.check()
    if nodes:
        context.checks.keep(lineage.name, _record(began, generation, found))
    context.jobs.set_outcome(job.id, _in_words(lineage.name, found, repaired))
    context.jobs.end_listing(held.lease)


def known_to_agree(context: WorkerContext, collection: str) -> float:
    """Return up to which generation all copies of a collection are known to have every write.

    A mark that is newer must stay: a copy that missed the deletion would be taken for one that has
    a photo which the others lack.
    """
    if not context.has_several_copies(collection):
        return math.inf
    last = context.checks.find(collection)
    return last.generation if last and last.agree else 0


def _repair(context: WorkerContext, job: Job, held: HeldLease, nodes: Sequence[Node]) -> int:
    deletion = context.jobs.next_generation() if job.spec.delete_unclear else None
    comparer = _comparer(context, job, held, nodes, "repairing: compared")
    return context.copy_repair(comparer, deletion).repair(job.spec.source)


def _comparer(
    context: WorkerContext, job: Job, held: HeldLease, nodes: Sequence[Node], doing: str
) -> CopyComparer:
    shown = 0.0

    def progress(compared: int) -> None:
        nonlocal shown
        held.check()
        if time.monotonic() - shown > _SHOW_SECONDS:
            shown = time.monotonic()
            context.jobs.set_outcome(job.id, f"{doing} {compared:,} points")

    return CopyComparer(nodes, _pause(context, held), progress)


def _pause(context: WorkerContext, held: HeldLease) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        if context.stopping.wait(seconds):
            raise UnavailableError("this worker is being stopped; another goes on with the job")
        held.check()

    return pause


def _record(began: datetime, generation: int, found: Comparison) -> CopyCheck:
    nodes = tuple(CheckedNode(**asdict(one)) for one in found.nodes)
    return CopyCheck(
        began, generation, nodes, found.compared, found.points, found.harmless, found.examples
    )


def _in_words(name: str, found: Comparison, repaired: int) -> str:
    if not found.nodes:
        return f"there is one copy of {name}: nothing to compare"
    done = f"{repaired:,} points repaired; " if repaired else ""
    nodes = f"{len(found.nodes)} nodes"
    if found.agree:
        return f"{done}{found.compared:,} points of {name} are the same on {nodes}"
    return f"{done}{found.points:,} of {found.compared:,} points of {name} differ between {nodes}"
