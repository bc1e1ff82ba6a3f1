"""Security checks of every request to the page, and security headers of every response.

Every site that this machine's browsers visit can send requests to a page on loopback. So a host
name that could have been rebound to this address is refused (an address or `localhost` cannot be),
and a POST must come from the page itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from landmarks.errors import ForbiddenError, InvalidInputError, LandmarksError
from search_service.web.responses import error_response

_log = structlog.get_logger(__name__)

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';"
        # Even by mistake, our scripts cannot turn text into markup.
        " require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


def security_middleware(hosts: Sequence[str]) -> Middleware:
    """Return the middleware; `hosts` are further host names that the page accepts."""
    allowed = {"localhost", *(host.lower() for host in hosts)}

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            _check_host(request, allowed)
            if request.method in ("GET", "HEAD"):
                _check_embedding(request)
            else:
                _check_origin(request)
            return await handler(request)
        except LandmarksError as error:
            return error_response(error)
        except web.HTTPRequestEntityTooLarge:
            return error_response(InvalidInputError("the request is too large"), status=413)
        except web.HTTPException as error:
            message = f"{request.method} {request.path}: {error.reason}"
            return error_response(LandmarksError(message), status=error.status)
        except Exception as error:  # noqa: BLE001 - the page must get an answer
            _log.exception("a request of the page failed", path=request.path)
            message = f"internal error ({type(error).__name__}); see the server's log"
            return error_response(LandmarksError(message))

    return checked


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every response, except those it sets itself."""
    del request
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _check_host(request: web.Request, allowed: set[str]) -> None:
    name = _host_name(request.headers.get("Host", ""))
    if name not in allowed and not _is_address(name):
        raise ForbiddenError(
            f"the page does not accept the host name {name!r}; open it as localhost, or add the"
            " name to LANDMARKS_PAGE_HOSTS"
        )


def _check_origin(request: web.Request) -> None:
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is None and origin is None:
        raise ForbiddenError(
            "only the page itself may send this request: it has neither Origin nor Sec-Fetch-Site;"
            " programs use gRPC, see docs/clients.md"
        )
    if site not in (None, "same-origin") or (
        origin is not None and urlsplit(origin).netloc.lower() != request.host.lower()
    ):
        raise ForbiddenError(
            "only the page itself may send this request; it came from another site"
        )


def _check_embedding(request: web.Request) -> None:
    """Refuse requests that another site's page embeds; following a link to here is allowed."""
    site, mode = request.headers.get("Sec-Fetch-Site"), request.headers.get("Sec-Fetch-Mode")
    if site in ("cross-site", "same-site") and mode != "navigate":
        raise ForbiddenError("another site may link to this page, but not embed anything of it")


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
