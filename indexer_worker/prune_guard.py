"""Whether a job may prune: not by a doubtful list, and no large share unless confirmed."""

from __future__ import annotations

from collections.abc import Mapping

from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.pruning import chosen_points, points_gone
from landmarks.job_store.records import Job, NotPruned
from landmarks.vector_store.filters import Equals, Filter

# One in so many of a source's points. More are rather a folder that is not mounted, or a manifest
# that was cut off, than photos that somebody deleted.
_MOST = 3


def points_before(context: WorkerContext, job: Job) -> dict[str, int]:
    """Return how many points of the job's source and splits each model had before the job."""
    # The job has stored some already, if its listing begins again.
    earlier = Filter(chosen_points(job).must, must_not=(Equals("job_id", job.id),))
    return {
        one.model: context.points.count(one.collection, earlier)
        for one in job.progress
        if one.collection  # a dry run may have none
    }


def why_not_prune(
    context: WorkerContext, job: Job, held: HeldLease, doubt: str, before: Mapping[str, int]
) -> NotPruned | None:
    """Return why the points of photos that were not listed must stay; None if they may go.

    `doubt` says why photos may be missing from the list.
    """
    if doubt:
        return NotPruned(
            f"nothing was pruned, as photos may be missing from the list of the source: {doubt};"
            " correct that and index again"
        )
    for one in job.progress:
        if job.spec.prune_confirmed or not one.collection:
            continue
        held.check()
        total = before[one.model]
        missing = sum(1 for _ in points_gone(context, job, one.collection))
        if missing * _MOST > total:
            return NotPruned(
                f"pruning must be confirmed: of the {total:,} points of the source"
                f" {job.source_name!r} in {one.collection}, {missing:,} are of photos that it no"
                " longer lists. If they are gone for good, index again with --prune --yes"
                " (`prune_confirmed`)",
                missing,
            )
    return None
