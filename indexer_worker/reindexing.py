"""Rebuilding a collection with a newer encoder, beside the live one, and promoting it.

The live collection's points name the photos to encode: source, path and URI. Searches and indexing
go on in the live collection; the new one catches up with what was written there before it is
promoted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from uuid import UUID

import numpy as np
import structlog

from indexer_worker.context import WorkerContext
from indexer_worker.fenced_points import FencedPoints
from indexer_worker.leased_work import Attempt, leased_attempt
from indexer_worker.leases import HeldLease
from indexer_worker.query_photos import encoded_photos, photos_of
from indexer_worker.retry import once
from landmarks.batched import batched
from landmarks.errors import InvalidInputError, UnavailableError
from landmarks.job_store.records import ChunkOutcome, Job, Listed
from landmarks.job_store.spec import ReindexOptions
from landmarks.job_store.store import CollectionTarget
from landmarks.job_store.task_messages import PROMOTION
from landmarks.photos.entry import Entry
from landmarks.retrieval.metrics import DEPTH, average_precision
from landmarks.vector_store.collection_info import Lineage
from landmarks.vector_store.filters import Equals, Filter
from landmarks.vector_store.held_photos import HeldPhoto
from landmarks.vector_store.points import PhotoPayload, facts_in, point_id
from landmarks.vector_store.queries import Query

_log = structlog.get_logger(__name__)

_SCAN = 500
_MOST_CHUNKS = 1000
# Fields in which two payloads may differ: read from the photo, and when and by which job.
_OWN = frozenset(
    {"sha256", "width", "height", "file_version", "stale", "indexed_at", "job_id"}
    | {"payload_version"}
)


def list_live(context: WorkerContext, job: Job, held: HeldLease) -> None:
    """List in chunks what the new collection lacks."""
    (model,) = job.spec.models
    live, beside = _collections(context, job, model)
    for name in (live.name, beside.name):
        context.unacknowledged.end_all(name, held.lease.holder)
    if job.spec.reindex and job.spec.reindex.queries:  # rather than hours later
        _check_queries(context, job.spec.reindex, live)
    listed = {
        (one.source, one.entry.path) for chunk in context.jobs.chunks(job.id) for one in chunk
    }
    missing = (
        one
        for one in _missing(context, live.name, beside.name)
        if (one.source, one.entry.path) not in listed
    )
    for chunk in batched(missing, context.settings.chunk_size):
        held.check()
        number = context.jobs.add_chunk(held.lease, chunk, (model,))
        context.send_work(job.id, f"{model}/{number}")
    after = f"{model}/{PROMOTION}"
    if due := context.jobs.end_listing(held.lease, (), after):
        context.send_work(job.id, due)


def run_promotion(context: WorkerContext, job_id: str, model: str) -> None:
    """Promote the new collection once it has all that the live one has."""
    with leased_attempt(context, job_id, model, PROMOTION) as attempt:
        if attempt is not None:
            _promote(attempt)


def _collections(context: WorkerContext, job: Job, model: str) -> tuple[Lineage, Lineage]:
    """Return the live collection and the new one beside it, created if it does not exist.

    Raises NotFoundError if no collection is live, LineageError if there is no other encoder.
    """
    gallery = job.spec.gallery
    (progress,) = job.progress
    live = context.collections.live(gallery, model)
    if progress.digest:  # a job keeps its first encoder
        served = context.encoders.find(model, progress.digest)
    else:
        served = context.encoders.find_another(model, live.digest)
    beside = context.collections.create_beside(
        gallery, model, served.digest, served.dimension, unindexed=True
    )
    context.collections.index_alike(beside.name, live.name)
    context.jobs.set_targets(job.id, "", [CollectionTarget(model, served.digest, beside.name)])
    return live, beside


def _missing(
    context: WorkerContext, live: str, beside: str, *, promoted: bool = False
) -> Iterator[Listed]:
    """Yield photos whose points the new collection lacks, or has with another payload.

    Once it is `promoted`, other jobs write to it too, and only later points of the old one count.
    """
    for page in batched(context.points.scan(live), _SCAN):
        ids = [point.id for point in page]
        have = context.points.states(beside, ids)
        for point in page:
            seen, payload = have.get(point.id, (None, {}))
            if seen is None or seen.mark:
                yield _listed(point.payload)
                continue
            # Points of an earlier release have no generation, only a time.
            later = (point.generation, str(point.payload.get("indexed_at", ""))) > (
                seen.generation,
                str(payload.get("indexed_at", "")),
            )
            if _is_behind(payload, point.payload, later=later, promoted=promoted):
                yield _listed(point.payload)


def _is_behind(
    payload: Mapping[str, object], live: Mapping[str, object], *, later: bool, promoted: bool
) -> bool:
    """Return whether a point is behind the live one; `later`: the live one was written later.

    With other photo bytes, only if it was: a photo that was changed since it was indexed has,
    rightly, other bytes in the new collection.
    """
    ours, theirs = (
        {k: v for k, v in one.items() if k not in _OWN and k not in facts_in(one)}
        for one in (payload, live)
    )
    other = payload.get("sha256") != live.get("sha256")
    return (ours != theirs and (later or not promoted)) or (other and later)


def _listed(payload: Mapping[str, object]) -> Listed:
    photo = PhotoPayload.from_payload(payload)
    entry = Entry(photo.path, photo.uri, photo.landmark, photo.columns, sidecars=photo.sidecars)
    return Listed(entry, source=photo.source)


def _promote(attempt: Attempt) -> None:
    """Catch up with the live collection, promote, and catch up with what was written meanwhile."""
    context, job, held = attempt.context, attempt.job, attempt.held
    live, beside = _collections(context, job, attempt.progress.model)
    for name in (live.name, beside.name):
        context.unacknowledged.end_all(name, held.lease.holder)
    pruned = 0
    before = job.replaced
    if live.name != beside.name:  # else an earlier attempt has promoted it
        if _catch_up(attempt, live.name, beside.name, promoted=False):
            return
        _carry_kept(context, live, beside, held)
        pruned = _prune(context, live, beside, held)
        context.collections.build_index(beside.name)
        if (status := context.collections.status(beside.name)) != "green":
            waiting = f"waiting for the index of {beside.name}, which is {status}"
            context.jobs.set_outcome(job.id, waiting)
            raise UnavailableError(waiting)
        before = live.name if _decide(context, job, live, beside, held) else ""
    elif not before:
        context.jobs.set_outcome(job.id, f"{beside.name} was promoted by another caller meanwhile")
    # A job may have begun to write to the old collection just before the promotion.
    if before and _catch_up(attempt, before, beside.name, promoted=True):
        return
    attempt.end(ChunkOutcome(stored=0, unchanged=0, duplicate=0, dead=(), encoded=0, pruned=pruned))


def _catch_up(attempt: Attempt, live: str, beside: str, *, promoted: bool) -> bool:
    """Add chunks for what the new collection lacks; return False if it lacks nothing.

    Raises UnavailableError while other jobs write to the old collection.
    """
    context, job, model = attempt.context, attempt.job, attempt.progress.model
    if writers := context.jobs.writing_to(live, but=job.id):
        waiting = f"waiting for job {', '.join(writers)}, which still writes to {live}"
        if not promoted:  # else the outcome of the promotion stays
            context.jobs.set_outcome(job.id, waiting)
        raise UnavailableError(waiting)
    dead = _dead(context, job)
    missing = (
        one
        for one in _missing(context, live, beside, promoted=promoted)
        if point_id(job.spec.gallery, one.source, one.entry.path) not in dead
    )
    # The next round finds what is left of a long list.
    chunks = list(islice(batched(missing, context.settings.chunk_size), _MOST_CHUNKS))
    if chunks:
        _log.info("catching up", job=job.id, collection=live, chunks=len(chunks))
        for number in context.jobs.add_before(attempt.held.lease, model, chunks):
            context.send_work(job.id, f"{model}/{number}")
    return bool(chunks)


def _is_live(context: WorkerContext, live: Lineage, held: HeldLease) -> bool:
    """Raise LeaseLostError if this job ended, UnavailableError if another collection is live."""
    held.confirm()
    if once(context.collections).live(live.gallery, live.model).name != live.name:
        raise UnavailableError(f"{live.name} is no longer live")
    return True


def _decide(
    context: WorkerContext, job: Job, live: Lineage, beside: Lineage, held: HeldLease
) -> bool:
    """Promote the new collection, or not; record which, and why."""
    by_hand = f"`landmarks collections --promote {beside.name}` promotes it anyway"
    wanted = job.spec.reindex or ReindexOptions()
    figures, enough = "", True
    dead = len(_dead(context, job))
    if wanted.queries and not dead:
        was, now = (_mean_average_precision(context, wanted, one) for one in (live, beside))
        figures = f": mAP@{DEPTH} {now:.4f} instead of {was:.4f}"
        enough = now >= was - wanted.margin
    if dead:
        outcome = (
            f"not promoted: {dead} photos of {live.name} could not be encoded; try them again"
            f" with --retry, or {by_hand}"
        )
    elif not enough:
        outcome = f"not promoted{figures}; at most {wanted.margin:g} less is allowed; {by_hand}"
    else:
        outcome = f"promoted {beside.name}{figures}"
        claim = context.jobs.next_generation()
        context.collections.claim_promotion(beside.name, claim)
        _is_live(context, live, held)
        context.jobs.set_replaced(job.id, live.name)
        context.collections.promote(beside.name, claim)
    context.jobs.set_outcome(job.id, outcome)
    return enough and not dead


def _dead(context: WorkerContext, job: Job) -> set[UUID]:
    found: set[UUID] = set()
    token = ""
    while True:
        letters, token = context.jobs.dead_letters(job.id, _SCAN, token)
        found.update(point_id(job.spec.gallery, one.source, one.entry.path) for one in letters)
        if not token:
            return found


def _carry_kept(context: WorkerContext, live: Lineage, beside: Lineage, held: HeldLease) -> None:
    """Keep in the new collection, and do not show, what the live one keeps so.

    Nothing is encoded for it: where it was not stored yet, it has no vector.
    """
    fenced = FencedPoints(context, held, beside.name)
    for page in batched(context.held_photos.kept(live.name), _SCAN):
        have = context.held_photos.read(beside.name, [one.id for one in page], with_vectors=True)
        kept: dict[UUID, HeldPhoto] = {}
        for one in page:
            ours = have.get(one.id)
            if ours is None or one.said.at > ours.said.at or (ours.shown and one.said == ours.said):
                kept[one.id] = replace(one, vector=ours.vector if ours else None)
        seen = context.writes.seen(beside.name, list(kept))
        fenced.await_others(seen)
        fenced.store(seen, [], {}, kept)


def _prune(context: WorkerContext, live: Lineage, beside: Lineage, held: HeldLease) -> int:
    """Delete from the new collection what the live one no longer has."""
    pruned = 0
    fenced = FencedPoints(context, held, beside.name)
    points = (point.id for point in context.points.scan(beside.name, fields=["path"]))
    for page in batched(points, _SCAN):
        have = context.points.payloads(live.name, page)
        if gone := [point for point in page if point not in have]:
            seen = context.writes.seen(beside.name, gone)
            fenced.await_others(seen)
            fenced.delete(seen, lambda: _is_live(context, live, held))
        pruned += len(gone)
    return pruned


def _mean_average_precision(
    context: WorkerContext, wanted: ReindexOptions, collection: Lineage
) -> float:
    """Return the mAP@100 of labelled photos in a collection, by exact search.

    Hits with the same bytes as the query are left out. Raises InvalidInputError if no query can be
    read, or none shows a landmark of the collection.
    """
    found: list[float] = []
    readable = False
    for landmark, sha256, vector in encoded_photos(
        context, collection, photos_of(context, wanted.queries, wanted.splits, labelled=True)
    ):
        readable = True
        total = context.points.count(
            collection.name,
            Filter(must=(Equals("landmark", landmark),), must_not=(Equals("sha256", sha256),)),
        )
        if total:
            query = Query(
                vector,
                limit=DEPTH,
                filter=Filter(must_not=(Equals("sha256", sha256),)),
                exact=True,
                fields=("landmark",),
            )
            [hits] = context.points.query(collection.name, [query])
            relevant = np.array([hit.payload.get("landmark") == landmark for hit in hits])
            found.append(average_precision(relevant, DEPTH, total))
    if not readable:
        raise _unreadable(wanted)
    if not found:
        raise InvalidInputError(
            f"no photo of {wanted.queries} shows a landmark of {collection.name}", field="queries"
        )
    return float(np.mean(found))


def _check_queries(context: WorkerContext, wanted: ReindexOptions, live: Lineage) -> None:
    """Raise InvalidInputError if no query can be read."""
    photos = photos_of(context, wanted.queries, wanted.splits, labelled=True)
    if next(encoded_photos(context, live, photos), None) is None:
        raise _unreadable(wanted)


def _unreadable(wanted: ReindexOptions) -> InvalidInputError:
    return InvalidInputError(
        f"no labelled photo of {wanted.queries} can be read; paths in a manifest are relative to"
        " its folder",
        field="queries",
    )
