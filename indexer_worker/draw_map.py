"""Drawing the map of a collection: its vectors in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec

import numpy as np

from indexer_worker.context import WorkerContext
from indexer_worker.leases import HeldLease
from indexer_worker.reservoir import reservoir_sample
from landmarks.batched import batched
from landmarks.errors import InvalidInputError
from landmarks.job_store.maps import GalleryMap, MapPoint
from landmarks.job_store.records import Job
from landmarks.job_store.store import CollectionTarget
from landmarks.retrieval.clusters import clusters_on_map
from landmarks.retrieval.projection import tsne_map
from landmarks.vector_store.collection_info import Lineage
from landmarks.vector_store.points import FloatVector
from landmarks.vector_store.queries import StoredPoint

# The most points of a map. t-SNE takes longer with more: most of a minute for 5,000.
MOST_POINTS = 5000
_FEWEST_POINTS = 4
_VECTORS_AT_ONCE = 500


def draw_map(context: WorkerContext, job: Job, held: HeldLease) -> None:
    """Draw the map of a live collection, and store it.

    Raises InvalidInputError where the extra `maps` is not installed, or there are too few points.
    """
    if find_spec("sklearn") is None:
        raise InvalidInputError(
            f"worker {context.name} cannot draw maps, as scikit-learn is not installed: install the"
            " extra `maps`, or build the indexer's image with --build-arg MAPS=maps"
        )
    (model,) = job.spec.models
    lineage = context.collections.live(job.spec.gallery, model)
    context.jobs.set_targets(job.id, "", [CollectionTarget(model, lineage.digest, lineage.name)])
    chosen, count = reservoir_sample(
        context.points.scan(lineage.name, fields=["landmark"]), MOST_POINTS
    )
    shown, vectors = _vectors(context, lineage, chosen, held)
    if len(shown) < _FEWEST_POINTS:
        raise InvalidInputError(
            f"{lineage.name} has {len(shown)} points, and a map needs at least {_FEWEST_POINTS};"
            " index more photos"
        )
    found = _drawn(lineage.name, shown, vectors, count)
    held.check()
    context.maps.keep(found)
    part = "" if len(shown) == count else f" of {count:,}"
    context.jobs.set_outcome(
        job.id,
        f"a map of {len(shown):,}{part} points of {lineage.name}, trustworthiness"
        f" {found.trustworthiness:.3f}",
    )
    context.jobs.end_listing(held.lease)


def _vectors(
    context: WorkerContext, lineage: Lineage, points: Sequence[StoredPoint], held: HeldLease
) -> tuple[list[StoredPoint], FloatVector]:
    """Return the points that still exist, and their vectors ((N, dimension) float32)."""
    shown: list[StoredPoint] = []
    rows: list[FloatVector] = []
    for some in batched(points, _VECTORS_AT_ONCE):
        held.check()
        ids = [point.id for point in some]
        found = context.points.vectors(lineage.name, ids)
        shown += [point for point in some if point.id in found]
        rows += [found[point.id] for point in some if point.id in found]
    return shown, np.array(rows, dtype=np.float32).reshape(len(rows), lineage.dimension)


def _drawn(
    collection: str, points: Sequence[StoredPoint], vectors: FloatVector, collection_points: int
) -> GalleryMap:
    drawn = tsne_map(vectors)
    landmarks = [str(point.payload.get("landmark") or "") for point in points]
    outside = np.zeros(len(points), dtype=bool)
    labelled = np.array([bool(landmark) for landmark in landmarks])
    if labelled.any():
        names = {name: place for place, name in enumerate(sorted(set(landmarks)))}
        labels = np.array([names[landmark] for landmark in landmarks], dtype=np.int64)
        # Unlabelled photos belong to no landmark's cluster, and are not marked.
        outside[labelled] = clusters_on_map(drawn.points[labelled], labels[labelled]).outside
    return GalleryMap(
        collection=collection,
        points=tuple(
            MapPoint(str(point.id), landmark, float(x), float(y), bool(alone))
            for point, landmark, (x, y), alone in zip(
                points, landmarks, drawn.points, outside, strict=True
            )
        ),
        drawn=datetime.now(UTC),
        collection_points=collection_points,
        perplexity=drawn.perplexity,
        trustworthiness=drawn.trustworthiness,
    )
