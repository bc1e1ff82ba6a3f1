"""What a search asks for, checked: every value that comes out of here can be used.

Lengths of vectors and names of models and galleries that do not exist are found out later, where
the collections are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError, InvalidPhotoError
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES
from search_service.conditions import filter_of
from vector_store.filters import EVERYTHING, Filter
from vector_store.naming import check_gallery, check_model

DEFAULT_LIMIT = 10
MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_MODELS = 32
MAX_HNSW_EF = 10_000
MAX_OVERSAMPLING = 100.0

FloatVector: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class PhotoQuery:
    """A photo's bytes. They stay out of the representation, so that no log can hold them."""

    photo: bytes = field(repr=False)


@dataclass(frozen=True)
class PointQuery:
    """A stored point, which is left out of the hits."""

    id: UUID


@dataclass(frozen=True, eq=False)
class VectorQuery:
    """A vector of one model: (dimension,) float32 of unit length."""

    model: str
    vector: FloatVector


@dataclass(frozen=True, eq=False)
class SearchQuery:
    """A search that can be run. `models` is empty where all of the gallery's are asked."""

    gallery: str
    target: PhotoQuery | PointQuery | VectorQuery
    models: tuple[str, ...] = ()
    filter: Filter = EVERYTHING
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    score_threshold: float | None = None
    exact: bool = False
    hnsw_ef: int | None = None
    oversampling: float | None = None

    @property
    def end(self) -> int:
        """How many places of a ranking must be known to answer."""
        return self.offset + self.limit


def search_query(
    request: pb.SearchRequest, max_photo_bytes: int = DEFAULT_MAX_PHOTO_BYTES
) -> SearchQuery:
    """Return what `request` asks for; raises InvalidInputError that names field and range."""
    target = _target(request, max_photo_bytes)
    models = tuple(dict.fromkeys(_model(model) for model in request.models))
    if len(models) > MAX_MODELS:
        raise InvalidInputError(
            f"{len(models)} models are asked, and must be 0 to {MAX_MODELS}", field="models"
        )
    if isinstance(target, VectorQuery):
        if models not in ((), (target.model,)):
            raise InvalidInputError(
                f"a vector of {target.model!r} can only be searched for with that model, not with"
                f" {', '.join(models)}: the vectors of two models are not comparable",
                field="models",
            )
        models = (target.model,)
    return SearchQuery(
        gallery=check_gallery(request.gallery),
        target=target,
        models=models,
        filter=filter_of(request.filter),
        limit=_limit(request),
        offset=int(_checked("offset", request.offset, 0, MAX_OFFSET)),
        score_threshold=_score_threshold(request),
        exact=request.exact,
        hnsw_ef=_hnsw_ef(request),
        oversampling=_oversampling(request),
    )


def point_uuid(text: str, field: str = "point_id") -> UUID:
    """Return a point's id; raises InvalidInputError where it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInputError(
            f"the point id {_shortened(text)} is not a UUID, such as"
            " 6f1c6b6d-4a11-5d7e-9b57-0d0f7c0e5a0b",
            field=field,
        ) from None


def unit_vector(values: Sequence[float]) -> FloatVector:
    """Return `values` scaled to unit length; raises InvalidInputError where they have none."""
    vector = np.asarray(values, dtype=np.float64)  # wide enough that squares do not overflow
    if vector.size == 0:
        raise InvalidInputError("the vector has no values", field="vector")
    if not np.isfinite(vector).all():
        raise InvalidInputError("the vector holds NaN or infinity", field="vector")
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise InvalidInputError("the vector is all zeros, so it has no direction", field="vector")
    return (vector / length).astype(np.float32)


def _target(
    request: pb.SearchRequest, max_photo_bytes: int
) -> PhotoQuery | PointQuery | VectorQuery:
    match request.WhichOneof("query"):
        case "photo":
            if not request.photo:
                raise InvalidPhotoError("the photo is empty: it has no bytes")
            if len(request.photo) > max_photo_bytes:
                raise InvalidPhotoError(
                    f"the photo has {len(request.photo):,} bytes, and at most {max_photo_bytes:,}"
                    " are accepted; send a smaller copy"
                )
            return PhotoQuery(request.photo)
        case "point_id":
            return PointQuery(point_uuid(request.point_id))
        case "vector":
            if not request.vector.model:
                raise InvalidInputError("the vector's model is not given", field="vector.model")
            model = check_model(request.vector.model)
            return VectorQuery(model, unit_vector(request.vector.values))
        case _:
            raise InvalidInputError(
                "there is no query: give one of photo, point_id and vector", field="query"
            )


def _model(name: str) -> str:
    try:
        return check_model(name)
    except InvalidInputError as error:
        raise InvalidInputError(str(error), field="models") from error


def _checked(name: str, value: float, least: float, most: float) -> float:
    """Return `value`; a NaN is in no range."""
    if not least <= value <= most:
        raise InvalidInputError(
            f"{name} is {value:.10g}, and must be {least:g} to {most:g}", field=name
        )
    return value


def _limit(request: pb.SearchRequest) -> int:
    if not request.HasField("limit"):
        return DEFAULT_LIMIT
    return int(_checked("limit", request.limit, 1, MAX_LIMIT))


def _score_threshold(request: pb.SearchRequest) -> float | None:
    if not request.HasField("score_threshold"):
        return None
    return _checked("score_threshold", request.score_threshold, -1, 1)


def _hnsw_ef(request: pb.SearchRequest) -> int | None:
    if not request.HasField("hnsw_ef"):
        return None
    return int(_checked("hnsw_ef", request.hnsw_ef, 1, MAX_HNSW_EF))


def _oversampling(request: pb.SearchRequest) -> float | None:
    if not request.HasField("oversampling"):
        return None
    return _checked("oversampling", request.oversampling, 1, MAX_OVERSAMPLING)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
