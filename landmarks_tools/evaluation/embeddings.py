"""Computes embeddings of photos as the service does, and caches them."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from encoder_service.loader import load_encoder
from encoder_service.models.base import Encoder, FloatArray, FloatMatrix
from encoder_service.settings import EncoderSettings
from landmarks.errors import InvalidInputError
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits
from landmarks.retrieval.labelled_photos import LabelledPhoto
from landmarks_tools.evaluation.embedding_cache import EmbeddingCache, FloatVector

Progress = Callable[[int, int], None]  # photos done, total
In = TypeVar("In")
Out = TypeVar("Out")
_Item = tuple[bytes, LabelledPhoto, FloatArray]

_KEPT_AT_ONCE = 256
_READ_AHEAD_BATCHES = 4  # for each worker


def embeddings(
    model: str,
    photos: Sequence[LabelledPhoto],
    settings: EncoderSettings,
    progress: Progress | None = None,
) -> FloatMatrix:
    """Return the embeddings of `photos` by `model`: unit rows, float32 (N, dimension).

    Rows are cached below `settings.cache_dir` by the encoder's digest and the photo's bytes as they
    are computed, so that an interrupted run continues from there.

    Raises InvalidInputError naming the first photo that cannot be read or embedded, and as
    `load_encoder`.
    """
    encoder = load_encoder(model, settings)
    spec = encoder.spec
    cache = EmbeddingCache(settings.cache_dir / "embeddings", model, spec.digest, spec.dimension)
    with (
        _pool(settings.decoders, "decode") as decoders,
        _pool(encoder.plan.workers, "inference") as workers,
    ):
        keys = list(decoders.map(_key, photos))
        rows = cache.read()
        found = zip(keys, photos, strict=True)
        missing = {key: photo for key, photo in found if key not in rows}
        made = _made(encoder, missing, settings, decoders, workers)
        _keep_rows(made, len(missing), rows, cache, progress)
    if not photos:
        return np.empty((0, spec.dimension), dtype=np.float32)
    return np.stack([rows[key] for key in keys])


def _made(
    encoder: Encoder,
    missing: dict[bytes, LabelledPhoto],
    settings: EncoderSettings,
    decoders: ThreadPoolExecutor,
    workers: ThreadPoolExecutor,
) -> Iterator[list[tuple[bytes, FloatVector]]]:
    """Yield the rows of `missing` by key, a batch at a time."""
    limits = PhotoLimits(
        settings.max_photo_bytes,
        settings.max_photo_pixels,
        max_decoding_bytes=settings.max_decoding_bytes,
    )
    plan = encoder.plan
    ahead = _READ_AHEAD_BATCHES * plan.workers

    def prepare(item: tuple[bytes, LabelledPhoto]) -> _Item:
        return *item, _prepared(encoder, *item, limits)

    def embed(batch: Sequence[_Item]) -> list[tuple[bytes, FloatVector]]:
        return _embedded(encoder, batch)

    items = _in_order(prepare, missing.items(), decoders, ahead * plan.batch)
    batches = iter(lambda: list(islice(items, plan.batch)), [])
    return _in_order(embed, batches, workers, ahead)


def _keep_rows(
    made: Iterable[list[tuple[bytes, FloatVector]]],
    total: int,
    rows: dict[bytes, FloatVector],
    cache: EmbeddingCache,
    progress: Progress | None,
) -> None:
    """Add computed rows to `rows`, and to `cache` as they come."""
    unkept: dict[bytes, FloatVector] = {}
    done = 0
    try:
        for batch in made:
            unkept.update(batch)
            rows.update(batch)
            done += len(batch)
            if progress is not None:
                progress(done, total)
            if len(unkept) >= _KEPT_AT_ONCE:
                cache.add(unkept)
                unkept = {}
    finally:
        cache.add(unkept)


def _embedded(encoder: Encoder, batch: Sequence[_Item]) -> list[tuple[bytes, FloatVector]]:
    """Return the rows of a batch, which is padded with zeros.

    Kernels are chosen by the batch's shape and differ in the last bits: with batches of one size, a
    photo's row does not depend on how many others remained.
    """
    first = batch[0][2]
    pixels = np.zeros((encoder.plan.batch, *first.shape), np.float32)
    for place, (_, _, photo_pixels) in enumerate(batch):
        pixels[place] = photo_pixels
    found = []
    for (key, photo, _), row in zip(batch, encoder.embed(pixels)[: len(batch)], strict=True):
        if not (np.isfinite(row).all() and row.any()):
            raise InvalidInputError(
                f"{photo.path}: {encoder.spec.name!r} finds nothing in this photo, as its vector is"
                " zero or not finite; is the photo blank?"
            )
        found.append((key, row))
    return found


def _prepared(
    encoder: Encoder, key: bytes, photo: LabelledPhoto, limits: PhotoLimits
) -> FloatArray:
    data = _bytes(photo.path)
    if hashlib.sha256(data).digest() != key:
        raise InvalidInputError(f"{photo.path} changed while it was being read")
    try:
        size, rules = encoder.spec.decode_size, encoder.spec.newest.decoding
        return encoder.preprocess(decode(data, limits, size, rules=rules).image)
    except InvalidInputError as error:
        raise InvalidInputError(f"{photo.path}: {error}") from error


def _in_order(
    work: Callable[[In], Out], items: Iterable[In], pool: ThreadPoolExecutor, ahead: int
) -> Iterator[Out]:
    """Yield `work` of each item in order, with at most `ahead` of them in flight.

    If `items` fails, the results in flight are yielded first.
    """
    begun: deque[Future[Out]] = deque()
    source = iter(items)
    failure: Exception | None = None
    while True:
        try:
            item = next(source)
        except StopIteration:
            break
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
            break
        begun.append(pool.submit(work, item))
        if len(begun) >= ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()
    if failure is not None:
        raise failure


@contextmanager
def _pool(threads: int, name: str) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool that on exit cancels work that has not begun."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _key(photo: LabelledPhoto) -> bytes:
    return hashlib.sha256(_bytes(photo.path)).digest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
