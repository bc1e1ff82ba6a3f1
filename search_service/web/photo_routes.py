"""The photos of points, as thumbnail and original. They are addressed by point id only."""

from __future__ import annotations

from urllib.parse import quote

from aiohttp import web

from landmarks.errors import InvalidInputError, InvalidPhotoError, NotFoundError
from search_service.web.responses import error_response
from search_service.web.session import client_of
from search_service.web.thumbnails import SIZES, PointPhoto, Thumbnails

THUMBNAILS = web.AppKey("thumbnails", Thumbnails)

# Types that browsers show as an image and that cannot contain a script.
_INLINE_TYPES = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/avif"}
_CACHE_CONTROL = "private, max-age=300"


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.get("/photos/{gallery}/{point}/thumbnail", thumbnail),
        web.get("/photos/{gallery}/{point}/original", original),
    ]


async def thumbnail(request: web.Request) -> web.Response:
    """Send a point's photo, scaled down so that no side is longer than `size`."""
    size = request.query.get("size", str(SIZES[0]))
    if size not in map(str, SIZES):
        raise InvalidInputError(f"size is {size!r}; it must be one of {SIZES}", field="size")
    point = await _point_photo(request)
    etag = f'"{point.sha256}-{size}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag, "Cache-Control": _CACHE_CONTROL})
    try:
        photo = await request.app[THUMBNAILS].thumbnail(point, int(size))
    except InvalidPhotoError as error:
        return error_response(error, status=415)
    headers = {"ETag": etag, "Cache-Control": _CACHE_CONTROL} if photo.is_indexed else {}
    return web.Response(body=photo.data, content_type=photo.kind, headers=headers)


async def original(request: web.Request) -> web.Response:
    """Send a point's photo unchanged, if its bytes are those of a photo."""
    point = await _point_photo(request)
    etag = f'"{point.sha256}"'
    if request.headers.get("If-None-Match") == etag:
        return web.Response(status=304, headers={"ETag": etag, "Cache-Control": _CACHE_CONTROL})
    try:
        photo = await request.app[THUMBNAILS].original(point)
    except InvalidPhotoError as error:
        return error_response(error, status=415)
    how = "inline" if photo.kind in _INLINE_TYPES else "attachment"
    headers = {
        "Content-Disposition": f"{how}; filename*=UTF-8''{quote(point.name, safe='')}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if photo.is_indexed:
        headers |= {"ETag": etag, "Cache-Control": _CACHE_CONTROL}
    return web.Response(body=photo.data, content_type=photo.kind, headers=headers)


async def _point_photo(request: web.Request) -> PointPhoto:
    gallery, id_ = request.match_info["gallery"], request.match_info["point"]
    found = (await client_of(request).point(gallery, id_)).point
    payload = found.payload.fields
    if not found.uri:
        raise NotFoundError(f"point {id_} has no uri of its photo")
    path = payload["path"].string_value if "path" in payload else found.uri
    sha256 = payload["sha256"].string_value if "sha256" in payload else ""
    return PointPhoto(found.uri, sha256, path.rsplit("/", 1)[-1] or "photo")
