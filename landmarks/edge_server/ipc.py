"""The protocol between the server and a shard process: length-prefixed frames.

A request is a method's name, a zero byte and a payload. An answer is a kind and a payload: the
result, an error for the caller, or the traceback of a fault.
"""

from __future__ import annotations

import json
import socket
import struct

from landmarks import errors

LENGTH = struct.Struct("<I")
RESULT, REFUSAL, FAULT = b"r", b"e", b"f"


def request_frame(method: str, payload: bytes) -> bytes:
    """Return a request as it is sent."""
    body = method.encode() + b"\0" + payload
    return LENGTH.pack(len(body)) + body


def read_request(connection: socket.socket) -> tuple[str, bytes] | None:
    """Wait for a request; None if the other side has closed."""
    head = _read(connection, LENGTH.size)
    body = _read(connection, LENGTH.unpack(head)[0]) if head else None
    if body is None:
        return None
    method, _, payload = body.partition(b"\0")
    return method.decode(), payload


def write_answer(connection: socket.socket, kind: bytes, payload: bytes) -> None:
    """Send an answer."""
    connection.sendall(LENGTH.pack(len(payload) + 1) + kind + payload)


def refusal(error: errors.LandmarksError) -> bytes:
    """Write an error for the caller, as it was raised."""
    return json.dumps([type(error).__name__, str(error), vars(error)]).encode()


def refused(payload: bytes) -> errors.LandmarksError:
    """Read what `refusal` wrote."""
    name, message, fields = json.loads(payload)
    error: errors.LandmarksError = getattr(errors, name)(message)
    vars(error).update(fields)
    return error


def _read(connection: socket.socket, size: int) -> bytes | None:
    parts = bytearray(size)
    view, have = memoryview(parts), 0
    while have < size:
        got = connection.recv_into(view[have:])
        if got == 0:
            return None
        have += got
    return bytes(parts)
