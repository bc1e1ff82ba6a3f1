"""Messages and errors as JSON responses, and JSON request bodies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

from aiohttp import web
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, ValidationError

from landmarks import errors
from landmarks.client import AsyncLandmarks

CLIENT = web.AppKey("client", AsyncLandmarks)

_STATUSES: dict[type[errors.LandmarksError], int] = {
    errors.InvalidInputError: 400,
    errors.UnauthenticatedError: 401,
    errors.ForbiddenError: 403,
    errors.NotFoundError: 404,
    errors.AlreadyExistsError: 409,
    errors.LineageError: 409,
    errors.OverloadedError: 429,
    errors.UnsupportedError: 501,
    errors.UnavailableError: 503,
    errors.DeadlineError: 504,
    errors.LandmarksError: 500,
}

# A log-in comes from strangers, whose bodies must not fill memory; no other needs more either.
_MAX_JSON_BYTES = 64 * 1024


class RequestBody(BaseModel):
    """The JSON body of a request; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


BodyT = TypeVar("BodyT", bound=RequestBody)


def message_json(message: Message) -> dict[str, object]:
    """Return a message as plain JSON values, with the contract's field names."""
    return MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def message_response(message: Message) -> web.Response:
    """Return a message as a response."""
    return web.json_response(message_json(message))


def messages_response(name: str, messages: Iterable[Message]) -> web.Response:
    """Return several messages as a response, in a list under `name`."""
    return web.json_response({name: [message_json(message) for message in messages]})


def error_response(error: errors.LandmarksError, status: int | None = None) -> web.Response:
    """Return an error as a response, with its message."""
    if status is None:
        status = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
    described: dict[str, object] = {"kind": type(error).__name__, "message": str(error)}
    headers = {}
    if isinstance(error, errors.InvalidInputError):
        described["field"] = error.field
    if isinstance(error, errors.OverloadedError):
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
    return web.json_response({"error": described}, status=status, headers=headers)


def parse_body(kind: type[BodyT], text: str | bytes) -> BodyT:
    """Parse a request's JSON; raises InvalidInputError that lists what is wrong."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the JSON'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise errors.InvalidInputError(f"invalid request: {wrong}") from error


async def read_body(request: web.Request, kind: type[BodyT]) -> BodyT:
    """Read the posted JSON.

    A form of another site cannot send that content type without a CORS preflight, which fails.
    """
    if request.content_type != "application/json":
        raise errors.InvalidInputError("the request's body must be application/json")
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > _MAX_JSON_BYTES:
            raise web.HTTPRequestEntityTooLarge(_MAX_JSON_BYTES, len(data))
    return parse_body(kind, bytes(data))
