"""Calibrating a gallery's verdicts, from its own labelled points.

Each point of a sample is a query that excludes itself: a photo of a known landmark. Photos of
unknown landmarks are those of a given source, or the same points, queried without all photos of
their landmark.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.query_photos import encoded_photos, photos_of
from indexer_worker.reservoir import reservoir_sample
from landmarks.batched import batched
from landmarks.errors import InvalidInputError
from landmarks.job_store.records import Job
from landmarks.job_store.store import CollectionTarget
from landmarks.retrieval.calibration import Calibration
from landmarks.retrieval.calibration_fit import READ_DEPTH, CalibrationQuery, calibrate
from landmarks.retrieval.fusion import ModelHit
from landmarks.retrieval.verdict import VerdictKind
from landmarks.vector_store.collection_info import CALIBRATION, Lineage
from landmarks.vector_store.filters import Equals, Filter
from landmarks.vector_store.points import FloatVector
from landmarks.vector_store.queries import Hit, Query

# Queries of known landmarks; more would change little.
SAMPLE = 1000
# How many points are sampled, as not all may be in every collection.
_CANDIDATES = 1500
_QUERIES_AT_ONCE = 8


@dataclass(frozen=True)
class _Point:
    id: UUID
    landmark: str
    sha256: str
    others: bool  # whether its landmark has other points


def calibrate_gallery(context: WorkerContext, job: Job, held: HeldLease) -> None:
    """Calibrate the live collections of a job's models, alone and together."""
    lineages = [context.collections.live(job.spec.gallery, model) for model in job.spec.models]
    targets = [CollectionTarget(one.model, one.digest, one.name) for one in lineages]
    context.jobs.set_targets(job.id, "", targets)
    points = _sample(context, lineages)
    queries: list[CalibrationQuery] = []
    for some in batched(points, _QUERIES_AT_ONCE):
        held.check()
        queries += _queries(context, lineages, some, both=not job.spec.source)
        if sum(query.landmark is not None for query in queries) >= SAMPLE:
            break
    if not queries and len(lineages) > 1:
        models = ", ".join(one.model for one in lineages)
        raise InvalidInputError(
            f"no labelled photo is in the collections of all of {models}: index the same photos"
            " with each, or calibrate one by one with --models"
        )
    if job.spec.source:
        queries += _unknown_queries(context, job, lineages, held)
    found = calibrate(queries, {one.model: one.digest for one in lineages})
    noted = found.to_json()
    for lineage in lineages:
        held.check()
        context.collections.note(lineage.name, CALIBRATION, noted)
    context.jobs.set_outcome(job.id, _summary(found, queries))
    context.jobs.end_listing(held.lease)


def _sample(context: WorkerContext, lineages: Sequence[Lineage]) -> list[_Point]:
    """Return a sample of labelled points; the same collection gives the same sample, in order."""
    shown: Counter[str] = Counter()

    def labelled() -> Iterator[tuple[UUID, str, str]]:
        fields = ["landmark", "sha256", "stale"]
        for point in context.points.scan(lineages[0].name, fields=fields):
            landmark = point.payload.get("landmark")
            if landmark and not point.payload.get("stale"):
                shown[str(landmark)] += 1
                yield point.id, str(landmark), str(point.payload.get("sha256", ""))

    chosen, _ = reservoir_sample(labelled(), _CANDIDATES)
    random.Random(0).shuffle(chosen)  # noqa: S311 - the first must be of all landmarks
    return [
        _Point(id_, landmark, sha256, others=shown[landmark] > 1)
        for id_, landmark, sha256 in chosen
    ]


def _queries(
    context: WorkerContext, lineages: Sequence[Lineage], points: Sequence[_Point], *, both: bool
) -> list[CalibrationQuery]:
    """Query for points as known landmarks, and with `both` also as unknown ones.

    Points that a collection lacks are left out.
    """
    ids = [point.id for point in points]
    vectors = [context.points.vectors(lineage.name, ids) for lineage in lineages]
    present = [point for point in points if all(point.id in some for some in vectors)]
    queries: list[CalibrationQuery] = []
    # Photos with the same bytes would find each other.
    without_copies = [Filter(must_not=(Equals("sha256", point.sha256),)) for point in present]
    without_own = [Filter(must_not=(Equals("landmark", point.landmark),)) for point in present]
    ways = [(True, without_copies), *([(False, without_own)] if both else [])]
    for known, filters in ways:
        answers = [
            context.points.query(
                lineage.name,
                [
                    _query(point, some[point.id], conditions)
                    for point, conditions in zip(present, filters, strict=True)
                ],
            )
            for lineage, some in zip(lineages, vectors, strict=True)
        ]
        for place, point in enumerate(present):
            if known and not point.others:
                continue
            found = {
                lineage.model: hits[place] for lineage, hits in zip(lineages, answers, strict=True)
            }
            queries.append(_calibration_query(point.landmark if known else None, found))
    return queries


def _unknown_queries(
    context: WorkerContext, job: Job, lineages: Sequence[Lineage], held: HeldLease
) -> list[CalibrationQuery]:
    """Query for photos of the source whose landmarks the gallery does not have."""
    shown = {
        str(point.payload.get("landmark"))
        for point in context.points.scan(lineages[0].name, fields=["landmark"])
    }
    photos = photos_of(context, job.spec.source, job.spec.splits)
    chosen, _ = reservoir_sample((one for one in photos if one.entry.landmark not in shown), SAMPLE)
    found: dict[str, dict[str, list[Hit]]] = {}
    for lineage in lineages:
        encoded = encoded_photos(context, lineage, chosen)
        for some in batched(encoded, _QUERIES_AT_ONCE):
            held.check()
            batch = [Query(vector, limit=READ_DEPTH, fields=("landmark",)) for _, _, vector in some]
            answers = context.points.query(lineage.name, batch)
            for (_, sha256, _), hits in zip(some, answers, strict=True):
                found.setdefault(sha256, {})[lineage.model] = hits
    return [_calibration_query(None, hits) for hits in found.values() if len(hits) == len(lineages)]


def _query(point: _Point, vector: FloatVector, conditions: Filter) -> Query:
    return Query(
        vector, limit=READ_DEPTH, filter=conditions, without=(point.id,), fields=("landmark",)
    )


def _calibration_query(landmark: str | None, found: dict[str, list[Hit]]) -> CalibrationQuery:
    landmarks = {
        str(hit.id): str(hit.payload.get("landmark") or "")
        for hits in found.values()
        for hit in hits
    }
    scored = {
        model: [
            ModelHit(str(hit.id), hit.score, place)
            for place, hit in enumerate(sorted(hits, key=lambda one: (-one.score, one.id)), start=1)
        ]
        for model, hits in found.items()
    }
    return CalibrationQuery(landmark, scored, landmarks)


def _summary(found: Calibration, queries: Sequence[CalibrationQuery]) -> str:
    """Return the job's outcome: the verdicts of all models together, for these queries."""
    group = max(found.groups, key=lambda one: len(one.models))
    known = [query for query in queries if query.landmark is not None]
    named = [
        verdict.vote.landmark == query.landmark
        for query in known
        if (verdict := group.verdict(query.voters, query.landmarks)).outcome is VerdictKind.KNOWN
        and verdict.vote
    ]
    right = f", {sum(named) / len(named):.1%} of these the right one" if named else ""
    return (
        f"calibrated with {len(known):,} photos: {len(named) / len(known):.1%} of them get a"
        f" landmark{right}; {found.unknowns_answered:.0%} of photos of other landmarks get one too"
    )
