"""Listing a source: its photos in chunks, each enqueued once per model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from hashlib import blake2b
from typing import TypeVar

from indexer_worker.change_detection import MOST_TEXT_BYTES, text_bytes
from indexer_worker.check_copies import known_to_agree
from indexer_worker.column_types import settle_columns
from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.prune_guard import points_before, why_not_prune
from indexer_worker.retry import TRANSIENT_ERRORS, once
from indexer_worker.shown_wait import PREFIX
from indexer_worker.targets import open_targets
from landmarks.batched import batched
from landmarks.errors import InvalidInputError
from landmarks.job_store.records import Job, Listed
from landmarks.job_store.task_messages import PRUNING
from landmarks.photos.entry import Entry
from landmarks.photos.listing_counts import LabelTally
from landmarks.photos.sources import Source
from landmarks.vector_store.points import RESERVED_COLUMNS, check_column
from landmarks.vector_store.source_points import uri_of_source

_Result = TypeVar("_Result")
_SHOWN = 1000  # characters of the path of a photo whose texts are too long


def list_source(context: WorkerContext, job: Job, held: HeldLease) -> None:
    """List the source into chunks, and enqueue each for each model."""
    spec = job.spec
    source = context.sources.open(spec.source, spec.splits, spec.rules)
    _retried(context, held, source.check)  # before a collection is created for nothing
    name = _retried(context, held, partial(_name_of, context, job, source))
    _open_targets(context, job, name, held)
    columns = source.columns
    if columns is not None:
        _retried(
            context,
            held,
            partial(settle_columns, context, spec.gallery, name, columns, write=not spec.dry_run),
        )
    context.jobs.set_outcome(job.id, "")  # it no longer waits
    job = context.jobs.get(job.id)  # which has its targets now
    before_it = points_before(context, job) if spec.prune else {}
    seen: set[bytes] = set()
    before: Counter[str] = Counter()
    for earlier in context.jobs.chunks(job.id):  # of an attempt that died
        before.update(one.entry.path for one in earlier)
    labels = LabelTally()
    new = without(before, labels.of(source.entries()), seen)
    for chunk in batched(marked(checked(new), seen), context.settings.chunk_size):
        held.check()
        number = context.jobs.add_chunk(held.lease, chunk, spec.models)
        for model in spec.models:
            context.send_work(job.id, f"{model}/{number}")
    held.check()
    context.jobs.set_seen(job.id, source.skipped, labels.counts())
    notes = filter(None, (*_renamed(job, name, source.name), *source.notes, labels.doubt()))
    context.jobs.set_outcome(job.id, "; ".join(notes))
    pruning: list[str] = []
    if spec.prune:  # only a complete listing shows what is gone
        why_not = why_not_prune(context, job, held, source.doubt, before_it)
        context.jobs.set_not_pruned(job.id, why_not)
        # A dry run counts what a confirmation would delete.
        if why_not is None or (spec.dry_run and why_not.points):
            pruning = [f"{model}/{PRUNING}" for model in spec.models]
    context.jobs.end_listing(held.lease, pruning)
    for field in pruning:
        context.send_work(job.id, field)


def _retried(context: WorkerContext, held: HeldLease, call: Callable[[], _Result]) -> _Result:
    """Retry a call, and show in the job what it waits for.

    Raises LeaseLostError if the job ends meanwhile, as when it is cancelled.
    """

    def attempt() -> _Result:
        held.check()
        try:
            return call()
        except TRANSIENT_ERRORS as error:
            once(context.jobs).set_outcome(held.lease.job_id, f"{PREFIX}{error}")
            raise

    return context.retry.call(attempt)


def _name_of(context: WorkerContext, job: Job, source: Source) -> str:
    """Return the source's name, which is kept for it; raises InvalidInputError if it has none."""
    collections, points = once(context.collections), once(context.points)
    return context.source_names.choose(
        job.spec,
        source.name,
        source.identity,
        partial(uri_of_source, collections, points, job.spec.gallery),
        once(context.sources).is_there,
        job_id=job.id,
    )


def _renamed(job: Job, name: str, usual: str) -> tuple[str, ...]:
    if job.spec.source_name or name == usual:
        return ()
    return (f"this source is called {name!r}, as the gallery has another one called {usual!r}",)


def _open_targets(context: WorkerContext, job: Job, name: str, held: HeldLease) -> None:
    targets = _retried(context, held, partial(open_targets, context, job))
    context.jobs.set_targets(job.id, name, targets)
    listing = context.jobs.begin_listing(job, name)
    if not job.spec.dry_run:
        for target in targets:
            old = listing - context.settings.mark_generations
            known = known_to_agree(context, target.collection)
            context.writes.sweep(target.collection, int(min(old, known)))


def without(before: Counter[str], entries: Iterable[Entry], seen: set[bytes]) -> Iterator[Entry]:
    """Leave out entries that chunks hold already, as often as they hold them; add them to `seen`.

    So a listing that begins again adds what is missing and nothing twice, even if the source has
    changed meanwhile.
    """
    for entry in entries:
        if before[entry.path] > 0:
            before[entry.path] -= 1
            if not entry.problem:
                seen.add(_key(entry.path))
        else:
            yield entry


def checked(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries; raises InvalidInputError for a column whose name no payload can have.

    What a payload has no room for is a problem of that entry.
    """
    known: set[str] = set()
    for entry in map(_bounded, entries):
        for column in entry.columns:
            if column not in known:
                known.add(column)
                if column not in RESERVED_COLUMNS:
                    check_column(column)
                elif f"manifest_{column}" in entry.columns:
                    raise InvalidInputError(
                        f"the manifest has columns {column!r} and 'manifest_{column}', and the"
                        " first would be stored under the second's name; rename one",
                        field="source",
                    )
        yield entry


def _bounded(entry: Entry) -> Entry:
    size = text_bytes(entry)
    if size <= MOST_TEXT_BYTES:
        return entry
    problem = (
        f"its path, landmark and columns have {size:,} bytes, and at most {MOST_TEXT_BYTES:,} are"
        " stored with a photo; shorten them, or leave columns out of the manifest"
    )
    return Entry(entry.path[:_SHOWN], "", problem=problem)


def marked(entries: Iterable[Entry], seen: set[bytes]) -> Iterator[Listed]:
    """Mark entries that name a photo which an earlier entry named."""
    for entry in entries:
        key = _key(entry.path)
        yield Listed(entry, duplicate=key in seen and not entry.problem)
        if not entry.problem:
            seen.add(key)


def _key(path: str) -> bytes:
    # Sixteen bytes a photo, so that the paths of millions fit in memory.
    return blake2b(path.encode(), digest_size=16).digest()
