"""One id for all work that a call causes, so that it can be followed through every service's logs.

A server takes it from the metadata `x-request-id`, or makes one, and sends it back in the trailing
metadata. It is kept in structlog's context, so what is logged and what is passed on cannot differ;
our channels and Celery messages pass it on. (The field `request_id` of `CreateIndexJob` is
something else: the client's own id, so that a job is not created twice.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex

import structlog

HEADER = "x-request-id"
_FIELD = "request_id"
# What a caller sends is written into every log line.
_USABLE = re.compile(r"[A-Za-z0-9._:-]{1,64}")


def bind(value: object = None) -> str:
    """Make `value` the request id of this task or thread, or a fresh id if it cannot be one."""
    usable = isinstance(value, str) and _USABLE.fullmatch(value)
    id_ = str(value) if usable else token_hex(16)
    structlog.contextvars.bind_contextvars(**{_FIELD: id_})
    return id_


def unbind() -> None:
    """Forget the request id of this task or thread."""
    structlog.contextvars.unbind_contextvars(_FIELD)


@contextmanager
def bound(value: object = None) -> Iterator[str]:
    """Bind a request id while the block runs; see `bind`."""
    before = structlog.contextvars.get_contextvars().get(_FIELD)
    try:
        yield bind(value)
    finally:
        unbind() if before is None else bind(before)


def headers() -> dict[str, str]:
    """Return the metadata or message headers that carry the current id, if any."""
    id_ = structlog.contextvars.get_contextvars().get(_FIELD)
    return {HEADER: id_} if id_ else {}
