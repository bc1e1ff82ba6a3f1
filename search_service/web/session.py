"""Who sits at the browser: a key in a cookie, which every request of the page brings.

The cookie is the key itself, so there is nothing to keep here: a key that is revoked is out at
once, and any replica of the service knows it. No script can read it (HttpOnly), and no other
site's request brings it (SameSite=Strict).
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from landmarks.client import AsyncLandmarks
from landmarks.security.rate_limit import client_at
from search_service.authorization import Authorizer
from search_service.web.responses import CLIENT, RequestBody, read_body

_COOKIE = "landmarks_key"
# Browsers take a cookie of such a name over HTTPS only, for this host only, from nobody else.
_SECURE_COOKIE = f"__Host-{_COOKIE}"
_SESSION_SECONDS = 12 * 60 * 60
_SESSION_PATH = "/api/session"
# Of a search's hits, dozens of photos are shown; together they count as a call or two.
_PHOTO_COST = 0.05

AUTHORIZER = web.AppKey("authorizer", Authorizer)


class LoginBody(RequestBody):
    """What the form says."""

    key: str


def authorization_middleware(authorizer: Authorizer) -> Middleware:
    """Return the middleware: nothing but the page's own files is given to strangers."""

    @web.middleware
    async def authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path == "/" or path.startswith("/static/"):
            return await handler(request)
        client = client_at(request.remote or "")
        if path != _SESSION_PATH:
            name, _ = authorizer.authenticate(_key_of(request))
            client = name or client
        authorizer.limit_rate(client, _PHOTO_COST if path.startswith("/photos/") else 1)
        return await handler(request)

    return authorized


def client_of(request: web.Request) -> AsyncLandmarks:
    """Return the client that asks with the key of whoever sent `request`."""
    client = request.app[CLIENT]
    # Unless keys are wanted nobody has looked at what the cookie holds.
    return (
        client.on_behalf_of(_key_of(request)) if request.app[AUTHORIZER].requires_keys else client
    )


def routes() -> list[web.RouteDef]:
    """Return the routes."""
    return [
        web.get(_SESSION_PATH, session),
        web.post(_SESSION_PATH, log_in),
        web.delete(_SESSION_PATH, log_out),
    ]


async def session(request: web.Request) -> web.Response:
    """Say whose key the browser has, and what it may; fails where it needs one and has none."""
    authorizer = request.app[AUTHORIZER]
    name, permission = authorizer.authenticate(_key_of(request))
    told = {"wants_keys": authorizer.requires_keys, "name": name, "permission": permission.value}
    return web.json_response(told)


async def log_in(request: web.Request) -> web.Response:
    """Let the browser keep a key that is known."""
    key = (await read_body(request, LoginBody)).key.strip()
    name, permission = request.app[AUTHORIZER].authenticate(key)
    response = web.json_response({"name": name, "permission": permission.value})
    # What the browser itself calls the page: a proxy may have ended its TLS.
    secure = request.secure or request.headers.get("Origin", "").startswith("https://")
    response.set_cookie(
        _SECURE_COOKIE if secure else _COOKIE,
        key,
        max_age=_SESSION_SECONDS,
        path="/",
        secure=secure,
        httponly=True,
        samesite="Strict",
    )
    return response


async def log_out(request: web.Request) -> web.Response:
    """Let the browser forget its key."""
    del request
    response = web.json_response({})
    for name, secure in ((_COOKIE, False), (_SECURE_COOKIE, True)):
        response.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")
    return response


def _key_of(request: web.Request) -> str:
    return request.cookies.get(_SECURE_COOKIE) or request.cookies.get(_COOKIE) or ""
