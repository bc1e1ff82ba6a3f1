"""Photos to embeddings, made as the service makes them, and kept for the next time."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from encoder_service.images import PhotoLimits, decode
from encoder_service.loading import load_encoder
from encoder_service.models.contract import Encoder, FloatMatrix
from encoder_service.settings import EncoderSettings
from evaluation.embedding_cache import EmbeddingCache, FloatVector
from evaluation.photos import LabelledPhoto
from landmarks.errors import InvalidInputError

Progress = Callable[[int, int], None]  # photos done, photos in all

_KEPT_AT_ONCE = 256
_READ_AHEAD_BATCHES = 4


def embeddings(
    model: str,
    photos: Sequence[LabelledPhoto],
    settings: EncoderSettings,
    progress: Progress | None = None,
) -> FloatMatrix:
    """Return the embeddings of `photos` by `model`: unit rows, float32 (N, dimension).

    Rows are kept below `settings.cache_dir` by the encoder's digest and the photo's bytes, while
    the work goes on, so a run that is stopped goes on from there.

    Raises InvalidInputError naming the first photo that cannot be read or embedded, and as
    `load_encoder`.
    """
    encoder = load_encoder(model, settings)
    spec = encoder.spec
    cache = EmbeddingCache(settings.cache_dir / "embeddings", model, spec.digest, spec.dimension)
    with ThreadPoolExecutor(settings.decoders, thread_name_prefix="decode") as pool:
        try:
            keys = list(pool.map(_key, photos))
            rows = cache.read()
            found = zip(keys, photos, strict=True)
            missing = {key: photo for key, photo in found if key not in rows}
            _embed_missing(encoder, missing, rows, cache, settings, pool, progress)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if not photos:
        return np.empty((0, spec.dimension), dtype=np.float32)
    return np.stack([rows[key] for key in keys])


def _embed_missing(
    encoder: Encoder,
    missing: dict[bytes, LabelledPhoto],
    rows: dict[bytes, FloatVector],
    cache: EmbeddingCache,
    settings: EncoderSettings,
    pool: ThreadPoolExecutor,
    progress: Progress | None,
) -> None:
    """Add the rows of `missing` to `rows`, and to `cache` as they come."""
    limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels)

    def prepare(item: tuple[bytes, LabelledPhoto]) -> torch.Tensor:
        return _prepared(encoder, *item, limits)

    ahead = _READ_AHEAD_BATCHES * settings.batch_size
    tensors = _in_order(prepare, missing.items(), pool, ahead)
    todo = iter(missing.items())
    unkept: dict[bytes, FloatVector] = {}
    done = 0
    try:
        while batch := list(islice(todo, settings.batch_size)):
            made = _embedded(encoder, list(islice(tensors, len(batch))), settings.batch_size)
            for (key, photo), row in zip(batch, made, strict=True):
                if not (np.isfinite(row).all() and row.any()):
                    raise InvalidInputError(
                        f"{photo.path}: {encoder.spec.name!r} finds nothing in this photo: its"
                        " vector has no direction; is it blank?"
                    )
                rows[key] = unkept[key] = row
            done += len(batch)
            if progress is not None:
                progress(done, len(missing))
            if len(unkept) >= _KEPT_AT_ONCE:
                cache.add(unkept)
                unkept = {}
    finally:
        cache.add(unkept)


def _embedded(encoder: Encoder, tensors: Sequence[torch.Tensor], size: int) -> FloatMatrix:
    """Return the rows of a batch, filled up to `size` with blanks.

    Kernels are chosen by the batch's shape, and differ in the last bits: with batches of one size,
    a photo's row does not depend on how many others were still to be embedded.
    """
    batch = torch.stack(list(tensors))
    blanks = torch.zeros(size - len(batch), *batch.shape[1:])
    return encoder.embed(torch.cat([batch, blanks]))[: len(batch)]


def _prepared(
    encoder: Encoder, key: bytes, photo: LabelledPhoto, limits: PhotoLimits
) -> torch.Tensor:
    data = _bytes(photo.path)
    if hashlib.sha256(data).digest() != key:
        raise InvalidInputError(f"{photo.path} was changed while it was being read")
    try:
        return encoder.preprocess(decode(data, limits, encoder.spec.decode_size).image)
    except InvalidInputError as error:
        raise InvalidInputError(f"{photo.path}: {error}") from error


def _in_order(
    work: Callable[[tuple[bytes, LabelledPhoto]], torch.Tensor],
    items: Iterable[tuple[bytes, LabelledPhoto]],
    pool: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[torch.Tensor]:
    """Yield `work` of each item in order, at most `ahead` of them begun and not yet taken."""
    begun: deque[Future[torch.Tensor]] = deque()
    for item in items:
        begun.append(pool.submit(work, item))
        if len(begun) >= ahead:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def _key(photo: LabelledPhoto) -> bytes:
    return hashlib.sha256(_bytes(photo.path)).digest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from error
