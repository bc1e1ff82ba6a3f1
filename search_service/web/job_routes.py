"""JSON routes for jobs and collections: list them, follow them, change them."""

from __future__ import annotations

import asyncio
import json
from itertools import islice

from aiohttp import web

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import AsyncLandmarks
from landmarks.errors import InvalidInputError, LandmarksError
from search_service.web.responses import (
    RequestBody,
    message_json,
    message_response,
    messages_response,
    read_body,
)
from search_service.web.session import client_of

_JOBS = 50
_LETTERS = 200
_MAX_WATCHED = 32
# A stream sends at least this often, so that a closed connection is noticed.
_HEARTBEAT_SECONDS = 15.0


class IndexBody(RequestBody):
    """An indexing job to start."""

    source: str
    gallery: str
    models: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    prune: bool = False
    prune_confirmed: bool = False
    source_name: str = ""
    dry_run: bool = False
    verify: bool = False
    label: str = ""
    ignore: tuple[str, ...] = ()
    raw_too: bool = False
    request_id: str = ""


class CalibrateBody(RequestBody):
    """The models, all if empty; and a source of photos of unknown landmarks."""

    models: tuple[str, ...] = ()
    unknowns: str = ""


class EmptyBody(RequestBody):
    """No fields."""


class DropBody(RequestBody):
    """`live_too`: drop the collection even if it is live."""

    live_too: bool = False


class DropGalleryBody(RequestBody):
    """`dry_run`: delete nothing."""

    dry_run: bool


# The queue of events of each open stream; None ends the stream.
STREAMS = web.AppKey("streams", set[asyncio.Queue[bytes | None]])


async def end_streams(app: web.Application) -> None:
    """End every stream, which would otherwise last as long as its jobs."""
    for events in app[STREAMS]:
        if events.full():
            events.get_nowait()
        events.put_nowait(None)


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.get("/api/jobs", jobs),
        web.post("/api/jobs", start),
        web.get("/api/jobs/watch", watch),
        web.get("/api/jobs/{id}/dead-letters", dead_letters),
        web.post("/api/jobs/{id}/{change:cancel|resume|retry}", change),
        web.get("/api/collections", collections),
        web.post("/api/collections/{name}/promote", promote),
        web.post("/api/collections/{name}/drop", drop),
        web.post("/api/galleries/{gallery}/drop", drop_gallery),
        web.post("/api/galleries/{gallery}/calibrate", calibrate),
        web.get("/api/galleries/{gallery}/models/{model}/map", read_map),
        web.post("/api/galleries/{gallery}/models/{model}/map", draw_map),
        web.post("/api/galleries/{gallery}/models/{model}/roll-back", roll_back),
    ]


async def jobs(request: web.Request) -> web.Response:
    """List the newest jobs."""
    found: list[pb.IndexJob] = []
    async for job in client_of(request).jobs(request.query.get("gallery", "")):
        found.append(job)
        if len(found) == _JOBS:
            break
    return messages_response("jobs", found)


async def start(request: web.Request) -> web.Response:
    """Start a job that indexes a source."""
    body = await read_body(request, IndexBody)
    job = await client_of(request).index(
        body.source,
        gallery=body.gallery,
        models=body.models,
        splits=body.splits,
        source_name=body.source_name,
        prune=body.prune,
        prune_confirmed=body.prune_confirmed,
        dry_run=body.dry_run,
        verify=body.verify,
        label=body.label,
        ignore=body.ignore,
        raw_too=body.raw_too,
        request_id=body.request_id,
    )
    return message_response(job)


async def change(request: web.Request) -> web.Response:
    """Cancel, resume or retry a job."""
    await read_body(request, EmptyBody)
    client, id_ = client_of(request), request.match_info["id"]
    match request.match_info["change"]:
        case "cancel":
            return message_response(await client.cancel(id_))
        case "resume":
            return message_response(await client.resume(id_))
        case _:
            return message_response(await client.retry_dead_letters(id_))


async def dead_letters(request: web.Request) -> web.Response:
    """List the first dead letters of a job."""
    found: list[pb.DeadLetter] = []
    async for letter in client_of(request).dead_letters(request.match_info["id"]):
        found.append(letter)
        if len(found) == _LETTERS:
            break
    return messages_response("dead_letters", found)


async def watch(request: web.Request) -> web.StreamResponse:
    """Send the jobs with the given ids as server-sent events, until all have ended.

    `job` is a job's new state, `failed` says why a job cannot be followed, `ended` comes last.
    """
    ids = list(islice(dict.fromkeys(request.query.getall("id", [])), _MAX_WATCHED + 1))
    if not 1 <= len(ids) <= _MAX_WATCHED:
        raise InvalidInputError(f"1 to {_MAX_WATCHED} jobs can be watched at once", field="id")
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    # Bounded: if the browser does not read, followers wait, and gRPC skips intermediate states.
    events: asyncio.Queue[bytes | None] = asyncio.Queue(_MAX_WATCHED)
    request.app[STREAMS].add(events)
    followers = [asyncio.create_task(_follow(client_of(request), id_, events)) for id_ in ids]
    try:
        while not (events.empty() and all(task.done() for task in followers)):
            try:
                async with asyncio.timeout(_HEARTBEAT_SECONDS):
                    event = await events.get()
            except TimeoutError:
                event = b": still here\n\n"
            if event is None:
                return response
            await response.write(event)
        await response.write(_event("ended", {}))
    except ConnectionError:
        pass  # the browser has gone
    finally:
        request.app[STREAMS].discard(events)
        for task in followers:
            task.cancel()
        await asyncio.gather(*followers, return_exceptions=True)
    return response


async def _follow(client: AsyncLandmarks, id_: str, events: asyncio.Queue[bytes | None]) -> None:
    try:
        async for job in client.watch(id_):
            await events.put(_event("job", message_json(job)))
    except LandmarksError as error:
        await events.put(_event("failed", {"id": id_, "message": str(error)}))
    await events.put(b": done\n\n")  # wakes the loop above, which checks whether all have ended


def _event(kind: str, value: dict[str, object]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


async def collections(request: web.Request) -> web.Response:
    """List the collections."""
    found = await client_of(request).collections(request.query.get("gallery", ""))
    return messages_response("collections", found)


async def promote(request: web.Request) -> web.Response:
    """Make a collection the live one."""
    await read_body(request, EmptyBody)
    return message_response(await client_of(request).promote(request.match_info["name"]))


async def roll_back(request: web.Request) -> web.Response:
    """Make the previously live collection live again."""
    await read_body(request, EmptyBody)
    gallery, model = request.match_info["gallery"], request.match_info["model"]
    return message_response(await client_of(request).roll_back(gallery, model))


async def drop(request: web.Request) -> web.Response:
    """Delete a collection."""
    body = await read_body(request, DropBody)
    await client_of(request).drop(request.match_info["name"], live_too=body.live_too)
    return web.json_response({})


async def drop_gallery(request: web.Request) -> web.Response:
    """Delete a gallery, or with `dry_run` say what that would delete."""
    body = await read_body(request, DropGalleryBody)
    client, gallery = client_of(request), request.match_info["gallery"]
    deleted = await client.drop_gallery(gallery, dry_run=body.dry_run)
    return messages_response("deleted", deleted)


async def calibrate(request: web.Request) -> web.Response:
    """Start a job that calibrates verdicts."""
    body = await read_body(request, CalibrateBody)
    gallery = request.match_info["gallery"]
    job = await client_of(request).calibrate(gallery, models=body.models, unknowns=body.unknowns)
    return message_response(job)


async def draw_map(request: web.Request) -> web.Response:
    """Start a job that draws a map."""
    await read_body(request, EmptyBody)
    gallery, model = request.match_info["gallery"], request.match_info["model"]
    return message_response(await client_of(request).draw_map(gallery, model))


async def read_map(request: web.Request) -> web.Response:
    """Read a map."""
    gallery, model = request.match_info["gallery"], request.match_info["model"]
    return message_response(await client_of(request).map(gallery, model))
