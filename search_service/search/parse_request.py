"""Parses and checks a search request: every value that is returned can be used.

Whether models and galleries exist, and the lengths of vectors, are checked later, where the
collections are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import numpy as np

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError, InvalidPhotoError
from landmarks.naming import check_gallery, check_model
from landmarks.photos.box import Box
from landmarks.photos.limits import MAX_PHOTO_BYTES_SETTING
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES
from search_service.search.parse_filter import parse_filter
from search_service.search.query import (
    DEFAULT_ALPHA,
    DEFAULT_LIMIT,
    Example,
    ExamplesQuery,
    Expansion,
    FloatVector,
    FusionChoice,
    FusionMethod,
    PhotoQuery,
    PointQuery,
    SearchQuery,
    Target,
    VectorQuery,
)

MAX_LIMIT = 1000
MAX_OFFSET = 10_000
MAX_MODELS = 32
MAX_HNSW_EF = 10_000
MAX_OVERSAMPLING = 100.0
MAX_EXAMPLES = 32
MAX_NEIGHBOURS = 50
MAX_ALPHA = 10.0
MAX_WEIGHT = 1000.0

_METHODS = {
    pb.FUSION_METHOD_UNSPECIFIED: None,
    pb.FUSION_METHOD_RECIPROCAL_RANK: FusionMethod.RECIPROCAL_RANK,
    pb.FUSION_METHOD_CALIBRATED_SCORE: FusionMethod.CALIBRATED_SCORE,
}


def parse_search(
    request: pb.SearchRequest, max_photo_bytes: int = DEFAULT_MAX_PHOTO_BYTES
) -> SearchQuery:
    """Return the query of a request; raises InvalidInputError that names field and range."""
    target = _target(request, max_photo_bytes)
    models = tuple(dict.fromkeys(_model(model) for model in request.models))
    if len(models) > MAX_MODELS:
        raise InvalidInputError(
            f"{len(models)} models given; at most {MAX_MODELS} are allowed", field="models"
        )
    if isinstance(target, VectorQuery):
        if models not in ((), (target.model,)):
            raise InvalidInputError(
                f"a vector of {target.model!r} can only be searched with that model, not with"
                f" {', '.join(models)}: the vectors of two models are not comparable",
                field="models",
            )
        models = (target.model,)
    return SearchQuery(
        gallery=check_gallery(request.gallery),
        target=target,
        models=models,
        filter=parse_filter(request.filter),
        limit=_limit(request),
        offset=int(_checked("offset", request.offset, 0, MAX_OFFSET)),
        score_threshold=_score_threshold(request),
        exact=request.exact,
        hnsw_ef=_hnsw_ef(request),
        oversampling=_oversampling(request),
        expansion=_expansion(request),
        collapse_identical=request.collapse_identical,
        fusion=_fusion(request.fusion),
    )


def parse_point_id(text: str, field: str = "point_id") -> UUID:
    """Return a point's id; raises InvalidInputError if it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInputError(
            f"the point id {_shortened(text)} is not a UUID, such as"
            " 6f1c6b6d-4a11-5d7e-9b57-0d0f7c0e5a0b",
            field=field,
        ) from None


def unit_vector(values: Sequence[float]) -> FloatVector:
    """Return `values` scaled to unit length; raises InvalidInputError if that is impossible."""
    vector = np.asarray(values, dtype=np.float64)  # so that squares do not overflow
    if vector.size == 0:
        raise InvalidInputError("the vector has no values", field="vector")
    if not np.isfinite(vector).all():
        raise InvalidInputError("the vector contains NaN or infinity", field="vector")
    length = float(np.linalg.norm(vector))
    if length == 0:
        raise InvalidInputError("the vector is all zeros, so it has no direction", field="vector")
    return (vector / length).astype(np.float32)


def _target(request: pb.SearchRequest, max_photo_bytes: int) -> Target:
    kind = request.WhichOneof("query")
    if request.HasField("box") and kind != "photo":
        raise InvalidInputError("a box marks a part of `photo`, which is missing", field="box")
    match kind:
        case "photo":
            return _photo(request.photo, Box.of(request.box), max_photo_bytes)
        case "point_id":
            return PointQuery(parse_point_id(request.point_id))
        case "vector":
            if not request.vector.model:
                raise InvalidInputError("the vector's model is missing", field="vector.model")
            model = check_model(request.vector.model)
            return VectorQuery(model, unit_vector(request.vector.values))
        case "examples":
            return _examples(request.examples, max_photo_bytes)
        case _:
            raise InvalidInputError(
                "there is no query: set photo, point_id, vector or examples",
                field="query",
            )


def _photo(photo: bytes, box: Box | None, max_photo_bytes: int) -> PhotoQuery:
    if not photo:
        raise InvalidPhotoError("the photo is empty: it has no bytes")
    if len(photo) > max_photo_bytes:
        raise InvalidPhotoError(
            f"the photo has {len(photo):,} bytes; at most {max_photo_bytes:,} are accepted"
            f" ({MAX_PHOTO_BYTES_SETTING}); send a smaller copy"
        )
    return PhotoQuery(photo, box)


def _examples(message: pb.Examples, max_photo_bytes: int) -> ExamplesQuery:
    count = len(message.positive) + len(message.negative)
    if not message.positive or count > MAX_EXAMPLES:
        raise InvalidInputError(
            f"{len(message.positive)} positive and {len(message.negative)} negative examples given;"
            f" at least one positive is required, and at most {MAX_EXAMPLES} in all are allowed",
            field="examples",
        )
    positive, negative = (
        tuple(
            _example(one, f"examples.{name}[{index}]", max_photo_bytes)
            for index, one in enumerate(some)
        )
        for name, some in (("positive", message.positive), ("negative", message.negative))
    )
    return ExamplesQuery(positive, negative)


def _example(message: pb.Example, where: str, max_photo_bytes: int) -> Example:
    match message.WhichOneof("kind"):
        case "photo":
            return _photo(message.photo, Box.of(message.box), max_photo_bytes)
        case "point_id" if not message.HasField("box"):
            return PointQuery(parse_point_id(message.point_id, f"{where}.point_id"))
        case "point_id":
            raise InvalidInputError(
                "a box marks a part of a photo, but this example is a point", field=f"{where}.box"
            )
        case _:
            raise InvalidInputError("the example is empty: set photo or point_id", field=where)


def _model(name: str) -> str:
    try:
        return check_model(name)
    except InvalidInputError as error:
        raise InvalidInputError(str(error), field="models") from error


def _checked(name: str, value: float, low: float, high: float) -> float:
    """Return `value` if it is in range; NaN is in no range."""
    if not low <= value <= high:
        raise InvalidInputError(
            f"{name} is {value:.10g}; it must be {low:g} to {high:g}", field=name
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


def _expansion(request: pb.SearchRequest) -> Expansion | None:
    if not request.HasField("expansion"):
        return None
    message = request.expansion
    alpha = message.alpha if message.HasField("alpha") else DEFAULT_ALPHA
    return Expansion(
        int(_checked("expansion.neighbours", message.neighbours, 1, MAX_NEIGHBOURS)),
        _checked("expansion.alpha", alpha, 0, MAX_ALPHA),
    )


def _fusion(message: pb.Fusion) -> FusionChoice:
    if message.method not in _METHODS:
        raise InvalidInputError(f"unknown fusion method {message.method}", field="fusion.method")
    weights = {
        _model(model): _checked(f"fusion.weights[{model}]", weight, 0, MAX_WEIGHT)
        for model, weight in message.weights.items()
    }
    if weights and not any(weights.values()):
        raise InvalidInputError(
            "every weight is 0, so no model would count", field="fusion.weights"
        )
    return FusionChoice(_METHODS[message.method], weights)


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
