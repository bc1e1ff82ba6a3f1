"""The photos of points, small and whole. Nothing can be asked for but by a point's id."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from landmarks.errors import InvalidInputError, InvalidPhotoError, NotFoundError
from search_service.web.responses import error_response
from search_service.web.session import client_of
from search_service.web.thumbnails import SIZES, PointPhoto, Thumbnails

THUMBNAILS = web.AppKey("thumbnails", Thumbnails)

# What browsers show as a picture, and nothing that could hold a script.
_SHOWN = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp"}
_KEPT = "private, max-age=300"


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.get("/photos/{gallery}/{point}/thumbnail", thumbnail),
        web.get("/photos/{gallery}/{point}/original", original),
    ]


async def thumbnail(request: web.Request) -> web.Response:
    """Send a point's photo, no side longer than `size`."""
    size = request.query.get("size", str(SIZES[0]))
    if size not in map(str, SIZES):
        raise InvalidInputError(f"size is {size!r}, and must be one of {SIZES}", field="size")
    photo = await _photo(request)
    etag = f'"{photo.sha256}-{size}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag, "Cache-Control": _KEPT})
    try:
        made = await request.app[THUMBNAILS].thumbnail(photo, int(size))
    except InvalidPhotoError as error:
        return error_response(error, status=415)
    headers = {"ETag": etag, "Cache-Control": _KEPT} if made.is_indexed else {}
    return web.Response(body=made.data, content_type=made.kind, headers=headers)


async def original(request: web.Request) -> web.Response:
    """Send a point's photo as it is, if its bytes are those of a photo."""
    photo = await _photo(request)
    etag = f'"{photo.sha256}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag, "Cache-Control": _KEPT})
    try:
        made = await request.app[THUMBNAILS].original(photo)
    except InvalidPhotoError as error:
        return error_response(error, status=415)
    how = "inline" if made.kind in _SHOWN else "attachment"
    headers = {
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(photo.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if made.is_indexed:
        headers |= {"ETag": etag, "Cache-Control": _KEPT}
    return web.Response(body=made.data, content_type=made.kind, headers=headers)


async def _photo(request: web.Request) -> PointPhoto:
    gallery, id_ = request.match_info["gallery"], request.match_info["point"]
    found = (await client_of(request).point(gallery, id_)).point
    payload = found.payload.fields
    if not found.uri:
        raise NotFoundError(f"the point {id_} does not say where its photo is")
    path = payload["path"].string_value if "path" in payload else found.uri
    sha256 = payload["sha256"].string_value if "sha256" in payload else ""
    return PointPhoto(found.uri, sha256, path.rsplit("/", 1)[-1] or "photo")
