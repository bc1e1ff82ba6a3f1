"""The options of a search, and the request built from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Required, TypeAlias, TypedDict

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client.options import check_options
from landmarks.errors import InvalidInputError
from landmarks.photos.box import Box

Value: TypeAlias = str | int | float | bool
Where: TypeAlias = Mapping[str, Value | Sequence[Value] | None]
# A part of a photo; a tuple is left, top, right and bottom, as fractions of its width and height.
Part: TypeAlias = Box | tuple[float, float, float, float]
# A photo's bytes, a point's id, or a message, which can also mark a part of its photo.
Example: TypeAlias = bytes | str | pb.Example
Fusion: TypeAlias = Literal["reciprocal_rank", "calibrated_score"]

_METHODS: dict[Fusion | None, pb.FusionMethod.ValueType] = {
    None: pb.FUSION_METHOD_UNSPECIFIED,
    "reciprocal_rank": pb.FUSION_METHOD_RECIPROCAL_RANK,
    "calibrated_score": pb.FUSION_METHOD_CALIBRATED_SCORE,
}


class Search(TypedDict, total=False):
    """A search: of `gallery`, for one of `photo`, `point_id`, `vector` and `positive`.

    photo: its bytes; with `box`, only a part of it.
    point_id: a stored point, which is left out of the hits.
    vector: a model's name and a vector of it.
    positive, negative: several photos' bytes or points' ids that hits should be like, or unlike.
    models: those to search with; all that the gallery was indexed with, if absent.
    where: payload fields, and the value, or one of the values, that hits must have; None is no
        value.
    filter: can say more than `where`; hits pass both.
    limit, offset: how many hits, and how many to skip; 10 and 0.
    score_threshold: the lowest cosine similarity of a model's hits.
    exact, hnsw_ef, oversampling: how the index is used.
    expansion, alpha: search again with the query's vector plus those of this many first hits, each
        times its similarity to the power of `alpha`.
    collapse_identical: of photos with the same bytes, keep only the first.
    fusion, weights: how rankings are fused, and how much each model counts.
    """

    gallery: Required[str]
    photo: bytes | None
    box: Part | None
    point_id: str | None
    vector: tuple[str, Sequence[float]] | None
    positive: Sequence[Example]
    negative: Sequence[Example]
    models: Sequence[str]
    where: Where | None
    filter: pb.Filter | None
    limit: int
    offset: int
    score_threshold: float | None
    exact: bool
    hnsw_ef: int | None
    oversampling: float | None
    expansion: int | None
    alpha: float | None
    collapse_identical: bool
    fusion: Fusion | None
    weights: Mapping[str, float] | None


def search_request(search: Search) -> pb.SearchRequest:
    """Return the request of a search.

    Raises InvalidInputError unless there is exactly one query, and for an option, a box or a value
    that does not fit.
    """
    check_options(Search, search, ("gallery",))
    try:
        return _request(search)
    except (TypeError, ValueError) as error:  # how protobuf reports it
        raise InvalidInputError(f"the search cannot be sent: {error}") from error


def _request(search: Search) -> pb.SearchRequest:
    request = pb.SearchRequest(
        gallery=search["gallery"],
        models=search.get("models", ()),
        filter=all_of(search.get("where"), search.get("filter")),
        limit=search.get("limit", 10),
        offset=search.get("offset", 0),
        score_threshold=search.get("score_threshold"),
        exact=search.get("exact", False),
        hnsw_ef=search.get("hnsw_ef"),
        oversampling=search.get("oversampling"),
        collapse_identical=search.get("collapse_identical", False),
    )
    _set_query(request, search)
    if (box := search.get("box")) is not None:
        request.box.CopyFrom((box if isinstance(box, Box) else Box(*box)).message())
    if (neighbours := search.get("expansion")) is not None:
        request.expansion.neighbours = neighbours
        if (alpha := search.get("alpha")) is not None:
            request.expansion.alpha = alpha
    request.fusion.method = _method(search.get("fusion"))
    request.fusion.weights.update(search.get("weights") or {})
    return request


def all_of(where: Where | None, more: pb.Filter | None = None) -> pb.Filter:
    """Return the filter for points that have the values of `where` and pass `more`."""
    both = pb.Filter(must=[_condition(field, value) for field, value in (where or {}).items()])
    both.MergeFrom(more or pb.Filter())
    return both


def _set_query(request: pb.SearchRequest, search: Search) -> None:
    photo, point_id, vector = search.get("photo"), search.get("point_id"), search.get("vector")
    positive, negative = search.get("positive", ()), search.get("negative", ())
    examples = [*positive, *negative] or None
    if sum(query is not None for query in (photo, point_id, vector, examples)) != 1:
        raise InvalidInputError(
            "give one of photo, point_id and vector, or examples in positive", field="query"
        )
    if photo is not None:
        request.photo = photo
    elif point_id is not None:
        request.point_id = point_id
    elif vector is not None:
        request.vector.model = vector[0]
        request.vector.values.extend(vector[1])
    else:
        request.examples.positive.extend(map(_example, positive))
        request.examples.negative.extend(map(_example, negative))


def _example(example: Example) -> pb.Example:
    match example:
        case bytes():
            return pb.Example(photo=example)
        case str():
            return pb.Example(point_id=example)
        case _:
            return example


def _method(fusion: Fusion | None) -> pb.FusionMethod.ValueType:
    if fusion not in _METHODS:
        names = ", ".join(name for name in _METHODS if name)
        raise InvalidInputError(f"there is no fusion {fusion!r}; there are {names}", field="fusion")
    return _METHODS[fusion]


def _condition(field: str, value: Value | Sequence[Value] | None) -> pb.Condition:
    if value is None:
        return pb.Condition(field=field, empty=True)
    if isinstance(value, (str, int, float)):
        return pb.Condition(field=field, equals=_value(value))
    values = pb.FieldValues(values=[_value(one) for one in value])
    return pb.Condition(field=field, any_of=values)


def _value(value: Value) -> pb.FieldValue:
    if isinstance(value, bool):
        return pb.FieldValue(boolean=value)
    if isinstance(value, int):
        return pb.FieldValue(integer=value)
    if isinstance(value, float):
        return pb.FieldValue(number=value)
    return pb.FieldValue(text=value)
