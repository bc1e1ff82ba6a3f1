"""Photos of a source that are searched for, not indexed; they are read and encoded alike."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from indexer_worker.batch_encoder import EncodedPhoto
from indexer_worker.change_detection import SourcePhoto
from indexer_worker.context import WorkerContext
from indexer_worker.photo_reader import ReadPhoto
from landmarks.batched import batched
from landmarks.vector_store.collection_info import Lineage
from landmarks.vector_store.points import FloatVector, point_id

_AT_ONCE = 16


def photos_of(
    context: WorkerContext, uri: str, splits: Sequence[str], *, labelled: bool = False
) -> Iterator[SourcePhoto]:
    """Yield a source's photos; if `labelled`, only those with a landmark."""
    source = context.sources.open(uri, splits)
    for entry in source.entries():
        if not entry.problem and (entry.landmark or not labelled):
            yield SourcePhoto(entry, point_id("", source.name, entry.path), source.name)


def encoded_photos(
    context: WorkerContext, lineage: Lineage, photos: Iterable[SourcePhoto]
) -> Iterator[tuple[str, str, FloatVector]]:
    """Yield the landmark, sha256 and vector of each photo that can be read and encoded."""
    # Waits for it: the vectors of the models before this would be made again.
    encoder = context.retry.call(partial(context.encoder, lineage.model, lineage.digest))
    for some in batched(photos, min(encoder.limits.photos, _AT_ONCE)):
        read = [
            one
            for one in context.reader.read(some, encoder.limits.photo_bytes, {})
            if isinstance(one, ReadPhoto)
        ]
        for photo, outcome in zip(read, encoder.encode([one.data for one in read]), strict=True):
            if isinstance(outcome, EncodedPhoto):
                yield photo.photo.entry.landmark or "", photo.sha256, outcome.vector
