"""JSON routes for searching, and for the samples and filters that the page offers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aiohttp import BodyPartReader, web
from pydantic import Field

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.client import AsyncLandmarks, Search
from landmarks.client.search_request import Example, Fusion
from landmarks.errors import InvalidInputError, InvalidPhotoError, NotFoundError
from landmarks.photos.box import Box
from search_service.web.responses import (
    RequestBody,
    message_json,
    message_response,
    messages_response,
    parse_body,
)
from search_service.web.session import client_of

_SAMPLES = 12
_MAX_SAMPLES = 48
_VALUES = 500


@dataclass(frozen=True)
class SearchLimits:
    """The most bytes of a photo, and the most seconds of a search."""

    photo_bytes: int
    seconds: float


LIMITS = web.AppKey("limits", SearchLimits)


# The range of the message's field; the service checks the real limits.
_MAX_UINT = 2**31 - 1


class SearchBody(RequestBody):
    """A search without its photo."""

    gallery: str
    point_id: str | None = None
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    where: dict[str, list[str]] = Field(default_factory=dict)
    limit: int = Field(10, ge=0, le=_MAX_UINT)
    offset: int = Field(0, ge=0, le=_MAX_UINT)
    box: tuple[float, float, float, float] | None = None
    expansion: int | None = Field(None, ge=0, le=_MAX_UINT)
    collapse_identical: bool = False
    exact: bool = False
    fusion: str | None = None
    weights: dict[str, float] = Field(default_factory=dict)


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.post("/api/search", search),
        web.get("/api/models", models),
        web.get("/api/galleries/{gallery}/values", values),
        web.get("/api/galleries/{gallery}/samples", samples),
        web.get("/api/galleries/{gallery}/points/{point}", point),
    ]


async def search(request: web.Request) -> web.Response:
    """Search; the form has `asked`, which is JSON, and `photo` unless that names a point."""
    limits = request.app[LIMITS]
    body, photo = await _form(request, limits.photo_bytes)
    query = _query_of(body, photo)
    query.update(
        {
            "models": body.models,
            "where": {field: some for field, some in body.where.items() if some},
            "limit": body.limit,
            "offset": body.offset,
            "expansion": body.expansion,
            "collapse_identical": body.collapse_identical,
            "exact": body.exact,
            "fusion": cast("Fusion | None", body.fusion),
            "weights": body.weights,
        }
    )
    return message_response(await client_of(request).search(timeout=limits.seconds, **query))


def _query_of(body: SearchBody, photo: bytes | None) -> Search:
    """Return one query; if there are examples, the photo or point becomes one of them."""
    if not (body.positive or body.negative):
        return {
            "gallery": body.gallery,
            "photo": photo,
            "point_id": body.point_id,
            "box": body.box,
        }
    positive: list[Example] = list(body.positive)
    if body.point_id is not None:
        positive.append(body.point_id)
    if photo is not None:
        box = None if body.box is None else Box(*body.box).message()
        positive.append(pb.Example(photo=photo, box=box))
    return {"gallery": body.gallery, "positive": positive, "negative": body.negative}


async def models(request: web.Request) -> web.Response:
    """List the models."""
    return messages_response("models", await client_of(request).models())


async def values(request: web.Request) -> web.Response:
    """Count the points of a gallery by the values of `field`."""
    counts = await client_of(request).count_values(
        request.match_info["gallery"],
        request.query.get("field", "landmark"),
        model=request.query.get("model", ""),
        limit=_VALUES,
    )
    return messages_response("values", counts)


async def point(request: web.Request) -> web.Response:
    """Read one point."""
    gallery, id_ = request.match_info["gallery"], request.match_info["point"]
    return message_response(await client_of(request).point(gallery, id_))


async def samples(request: web.Request) -> web.Response:
    """Choose some points, of as many landmarks as possible; another `seed` chooses others."""
    gallery, client = request.match_info["gallery"], client_of(request)
    chance = random.Random(f"{gallery} {request.query.get('seed', '')}")  # noqa: S311 - not a secret
    count = _count(request.query.get("count", str(_SAMPLES)))
    found = await _sample_points(client, gallery, count, chance)
    return web.json_response({"points": [message_json(one) for one in found]})


async def _sample_points(
    client: AsyncLandmarks, gallery: str, count: int, chance: random.Random
) -> Sequence[pb.Point]:
    """Return the points nearest to random directions, one per landmark."""
    live = [one for one in await client.collections(gallery) if one.live and one.points]
    if not live:
        raise NotFoundError(f"gallery {gallery!r} does not exist or has no photos")
    model = live[0].model
    counts = await client.count_values(gallery, "landmark", model=model, limit=_VALUES)
    names = [one.value.text for one in counts if one.value.text]
    chance.shuffle(names)

    def towards(where: Mapping[str, str], limit: int) -> Search:
        direction = [chance.gauss(0, 1) for _ in range(live[0].dimension)]
        return {
            "gallery": gallery,
            "vector": (model, direction),
            "where": where,
            "limit": limit,
        }

    searches = [towards({"landmark": name}, 1) for name in names[:count]]
    if not searches:
        searches = [towards({}, count)]
    outcomes = await client.batch_search(searches)
    answered = [one for one in outcomes if isinstance(one, pb.SearchResponse)]
    failed = [one for one in outcomes if isinstance(one, Exception)]
    if failed and not answered:
        raise failed[0]
    return [hit.point for one in answered for hit in one.fused]


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_SAMPLES:
        raise InvalidInputError(f"count is {text!r}; it must be 1 to {_MAX_SAMPLES}")
    return int(text)


async def _form(request: web.Request, max_bytes: int) -> tuple[SearchBody, bytes | None]:
    """Read a form in memory: the photo of a search is never written to a file."""
    if request.content_type != "multipart/form-data":
        raise InvalidInputError("the request's body must be multipart/form-data")
    body: SearchBody | None = None
    photo: bytes | None = None
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise InvalidInputError("the form contains a nested form")
            if part.name == "asked":
                body = parse_body(SearchBody, await _read(part, max_bytes))
            elif part.name == "photo":
                photo = await _read(part, max_bytes)
    except (ValueError, AssertionError) as error:
        raise InvalidInputError(f"the form cannot be read: {error}") from error
    if body is None:
        raise InvalidInputError("the form has no part `asked`", field="asked")
    return body, photo


async def _read(part: BodyPartReader, max_bytes: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > max_bytes:
            raise InvalidPhotoError(
                f"the photo has more than {max_bytes:,} bytes, which is the limit; choose a"
                " smaller copy"
            )
    return bytes(data)
