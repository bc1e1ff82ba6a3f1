"""The one place where errors become gRPC statuses, and statuses become errors again."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from landmarks import errors
from landmarks.rpc.channel import MAX_MESSAGE_BYTES

_CODES: dict[type[errors.LandmarksError], grpc.StatusCode] = {
    errors.TooLargeError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidPhotoError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.LineageError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DamagedError: grpc.StatusCode.DATA_LOSS,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.UnsupportedError: grpc.StatusCode.UNIMPLEMENTED,
    errors.ConfigurationError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.LandmarksError: grpc.StatusCode.INTERNAL,
}
# A message travels in the headers, up to three times; gRPC drops the call if they exceed 8 KiB.
_MAX_MESSAGE_CHARACTERS = 500
_OVER_CAP = re.compile(
    r"(?P<way>(?:CLIENT|SERVER): (?:Sent|Received)) message larger than max"
    r" \((?P<size>\d+) vs\. (?P<max>\d+)\)"
    r"|(?P<coded>decoded|encoded) message length too large: found (?P<found>\d+) bytes,"
    r" the limit is: (?P<limit>\d+) bytes"
)
# Of a compressed answer, as a Qdrant server sends it, gRPC gives no size.
_OVER_CAP_UNPACKED = "Decompressed message larger than max"
STATUS_DETAILS_KEY = "grpc-status-details-bin"
_BY_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def code_number(code: grpc.StatusCode) -> int:
    """Return a status code's number on the wire."""
    number: int = code.value[0]
    return number


def code_from_number(number: int) -> grpc.StatusCode:
    """Return the status code that has a number on the wire."""
    return _BY_NUMBER.get(number, grpc.StatusCode.UNKNOWN)


def code_of(error: BaseException) -> grpc.StatusCode:
    """Return the status code of `error`."""
    if isinstance(error, errors.LandmarksError):
        return next(_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    if isinstance(error, TimeoutError):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    if isinstance(error, asyncio.CancelledError):
        return grpc.StatusCode.CANCELLED
    if isinstance(error, NotImplementedError):  # of a generated servicer
        return grpc.StatusCode.UNIMPLEMENTED
    return grpc.StatusCode.INTERNAL


def status_of(error: BaseException) -> Status:
    """Return the status that reports `error` to a caller.

    Errors that are not ours become INTERNAL (or DEADLINE_EXCEEDED, CANCELLED, UNIMPLEMENTED)
    without their text, which may hold details that the caller must not see.
    """
    code = code_number(code_of(error))
    if isinstance(error, errors.LandmarksError):
        message = _shortened(str(error))
        details: list[Message] = []
        if isinstance(error, errors.InvalidInputError) and error.field:
            violation = BadRequest.FieldViolation(field=error.field, description=message)
            details.append(BadRequest(field_violations=[violation]))
        if isinstance(error, errors.OverloadedError):
            details.append(RetryInfo(retry_delay=duration(error.retry_after)))
        return Status(code=code, message=message, details=map(_packed, details))
    if isinstance(error, TimeoutError):
        return Status(code=code, message="the deadline passed")
    if isinstance(error, asyncio.CancelledError):
        return Status(code=code, message="the call was cancelled")
    if isinstance(error, NotImplementedError):
        return Status(code=code, message="this server does not serve this method")
    message = f"internal error ({type(error).__name__}); the server's log says more"
    return Status(code=code, message=message)


def duration(seconds: float) -> Duration:
    """Return a length of time as a message."""
    message = Duration()
    message.FromNanoseconds(int(seconds * 1e9))
    return message


def error_from_status(status: Status) -> errors.LandmarksError:
    """Return the error in `status`, as the server raised it."""
    field, retry_after = "", 1.0
    for detail in status.details:
        bad_request, retry_info = BadRequest(), RetryInfo()
        if detail.Unpack(bad_request) and bad_request.field_violations:
            field = bad_request.field_violations[0].field
        elif detail.Unpack(retry_info):
            retry_after = retry_info.retry_delay.ToNanoseconds() / 1e9
    message = status.message or Code.Name(status.code)
    match status.code:
        case Code.INVALID_ARGUMENT if field == "photo":
            return errors.InvalidPhotoError(message)
        case Code.INVALID_ARGUMENT | Code.OUT_OF_RANGE:
            return errors.InvalidInputError(message, field=field)
        case Code.UNAUTHENTICATED:
            return errors.UnauthenticatedError(message)
        case Code.PERMISSION_DENIED:
            return errors.ForbiddenError(message)
        case Code.NOT_FOUND:
            return errors.NotFoundError(message)
        case Code.ALREADY_EXISTS:
            return errors.AlreadyExistsError(message)
        case Code.FAILED_PRECONDITION:
            return errors.LineageError(message)
        case Code.DATA_LOSS:
            return errors.DamagedError(message)
        case Code.RESOURCE_EXHAUSTED:
            return errors.OverloadedError(message, retry_after=retry_after)
        case Code.DEADLINE_EXCEEDED:
            return errors.DeadlineError(message)
        case Code.UNAVAILABLE:
            return errors.UnavailableError(message)
        case Code.UNIMPLEMENTED:
            return errors.UnsupportedError(message)
        case _:
            return errors.LandmarksError(f"{Code.Name(status.code)}: {message}")


def error_from_rpc(error: grpc.RpcError, peer: str = "") -> errors.LandmarksError:
    """Return the error of a failed call; it names `peer` if the peer did not answer."""
    status = rpc_status(error, peer)
    return too_large(status) or error_from_status(status)


def too_large(status: Status) -> errors.TooLargeError | None:
    """Return the error of a message over a cap, if that is what failed; no retry makes it smaller.

    gRPC itself, and Qdrant's server, report it before or instead of the method.
    """
    if status.code == Code.RESOURCE_EXHAUSTED and _OVER_CAP_UNPACKED in status.message:
        return errors.TooLargeError(
            f"the answer is too large: unpacked, it has more than the {MAX_MESSAGE_BYTES:,} bytes"
            " that a message may have (this program's own limit, which no setting raises); ask for"
            " less at once"
        )
    found = _OVER_CAP.search(status.message)
    if found is None or status.code not in (Code.RESOURCE_EXHAUSTED, Code.OUT_OF_RANGE):
        return None
    size, limit = (int(found["size"] or found["found"]), int(found["max"] or found["limit"]))
    request = found["way"] in ("CLIENT: Sent", "SERVER: Received") or found["coded"] == "decoded"
    what = "the request is too large" if request else "the answer is too large"
    # What gRPC itself refuses here, nobody else may mind: Qdrant takes larger messages.
    ours = (found["way"] or "").startswith("CLIENT") or limit == MAX_MESSAGE_BYTES
    whose = "this program's own limit, which no setting raises" if ours else "the server's limit"
    return errors.TooLargeError(
        f"{what}: it has {size:,} bytes, and a message may have {limit:,} ({whose});"
        f" {'send' if request else 'ask for'} less at once"
    )


def rpc_status(error: grpc.RpcError, peer: str = "") -> Status:
    """Return the rich status of a failed call, sync or aio."""
    if not isinstance(error, (grpc.Call, grpc.aio.AioRpcError)):
        return Status(code=Code.UNKNOWN, message=str(error))
    for key, value in error.trailing_metadata() or ():
        if key == STATUS_DETAILS_KEY:
            return Status.FromString(value if isinstance(value, bytes) else value.encode())
    text = error.details() or ""
    return Status(
        code=code_number(error.code()), message=f"{peer}: {text}" if peer and text else peer or text
    )


@dataclass(frozen=True)
class RichStatus(grpc.Status):
    """A status with details, in the form that `context.abort_with_status` takes."""

    code: grpc.StatusCode
    details: str
    trailing_metadata: tuple[tuple[str, str | bytes], ...]


def abort_status(
    status: Status, trailing_metadata: tuple[tuple[str, str | bytes], ...] = ()
) -> RichStatus:
    """Return `status` in the form that `context.abort_with_status` takes, with more metadata."""
    details = (STATUS_DETAILS_KEY, status.SerializeToString())
    return RichStatus(code_from_number(status.code), status.message, (*trailing_metadata, details))


def _shortened(message: str) -> str:
    if len(message) <= _MAX_MESSAGE_CHARACTERS:
        return message
    half = _MAX_MESSAGE_CHARACTERS // 2
    return f"{message[:half]} … {message[-half:]}"


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
