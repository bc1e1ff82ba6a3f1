"""The page's own files, read once."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from aiohttp import web

_FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class _File:
    body: bytes
    kind: str
    etag: str


def routes() -> list[web.RouteDef]:
    """Return the routes of the page's files; no other file is served."""
    files = {path.name: _read(path) for path in _FOLDER.iterdir() if path.suffix in _TYPES}

    async def index(request: web.Request) -> web.StreamResponse:
        return _serve(request, files["index.html"])

    async def static(request: web.Request) -> web.StreamResponse:
        file = files.get(request.match_info["name"])
        if file is None:
            raise web.HTTPNotFound
        return _serve(request, file)

    return [web.get("/", index), web.get("/static/{name}", static)]


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{sha256(body).hexdigest()[:32]}"')


def _serve(request: web.Request, file: _File) -> web.Response:
    # Revalidated each time, so that a page never mixes files of two versions.
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == file.etag:
        return web.Response(status=304, headers=headers)
    response = web.Response(
        body=file.body, content_type=file.kind, charset="utf-8", headers=headers
    )
    response.enable_compression()
    return response
