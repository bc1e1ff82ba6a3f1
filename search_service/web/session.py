"""The page's sessions: the API key in a cookie, which every request of the page sends.

The cookie is the key itself, so the service stores no session: revoking a key takes effect at
once, and on every replica. No script can read the cookie (HttpOnly), and no request of another
site sends it (SameSite=Strict).
"""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from landmarks.client import AsyncLandmarks
from landmarks.errors import DeadlineError
from landmarks.security.caller import Caller
from landmarks.security.proxies import TrustedProxies
from landmarks.security.rate_limit import client_at
from search_service.authorization import Authorizer
from search_service.web.connections import Connections
from search_service.web.responses import CLIENT, RequestBody, read_body

_COOKIE = "landmarks_key"
# Browsers accept a cookie with this prefix only over HTTPS, and for this host alone.
_SECURE_COOKIE = f"__Host-{_COOKIE}"
_SESSION_SECONDS = 12 * 60 * 60
_SESSION_PATH = "/api/session"
# An answer shows dozens of photos, which together count as a call or two.
_PHOTO_COST = 0.05

# What is sent before a key has been checked must arrive in this time.
_STRANGER_SECONDS = 10.0

AUTHORIZER = web.AppKey("authorizer", Authorizer)
CONNECTIONS = web.AppKey("connections", Connections)


class LoginBody(RequestBody):
    """The login form."""

    key: str


def authorization_middleware(authorizer: Authorizer, proxies: TrustedProxies) -> Middleware:
    """Return the middleware: without a key, only the page's own files are served.

    Without keys, calls are counted by address, of a caller that one of `proxies` names.
    """

    @web.middleware
    async def authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
        path = request.path
        if path == "/" or path.startswith("/static/"):
            return await handler(request)
        forwarded = request.headers.getall("X-Forwarded-For", ())
        client = client_at(proxies.caller(request.remote or "", forwarded))
        if path != _SESSION_PATH:
            client = authorizer.authenticate(_key_of(request)).name or client
        authorizer.limit_rate(client, _PHOTO_COST if path.startswith("/photos/") else 1)
        if path != _SESSION_PATH:
            async with request.app[CONNECTIONS].admitted(request.transport):
                return await handler(request)
        try:
            async with asyncio.timeout(_STRANGER_SECONDS):
                return await handler(request)
        except TimeoutError:
            raise DeadlineError(
                f"the request did not arrive within {_STRANGER_SECONDS:g} s"
            ) from None

    return authorized


def client_of(request: web.Request) -> AsyncLandmarks:
    """Return the client that calls with the key of `request`."""
    client = request.app[CLIENT]
    # If no keys are required, the cookie has not been checked.
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
    """Return what the browser's key may do; fails if a key is required."""
    authorizer = request.app[AUTHORIZER]
    caller = authorizer.authenticate(_key_of(request))
    return web.json_response({"wants_keys": authorizer.requires_keys, **_described(caller)})


async def log_in(request: web.Request) -> web.Response:
    """Store a valid key in the browser's cookie."""
    key = (await read_body(request, LoginBody)).key.strip()
    response = web.json_response(_described(request.app[AUTHORIZER].authenticate(key)))
    # The browser's own view of the page's address: a proxy may terminate TLS.
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
    """Delete the key from the browser."""
    del request
    response = web.json_response({})
    for name, secure in ((_COOKIE, False), (_SECURE_COOKIE, True)):
        response.del_cookie(name, path="/", secure=secure, httponly=True, samesite="Strict")
    return response


def _described(caller: Caller) -> dict[str, object]:
    return {
        "name": caller.name,
        "permission": caller.permission.value,
        "galleries": sorted(caller.galleries),
    }


def _key_of(request: web.Request) -> str:
    return request.cookies.get(_SECURE_COOKIE) or request.cookies.get(_COOKIE) or ""
