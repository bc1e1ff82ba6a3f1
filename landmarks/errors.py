"""The errors that are reported to callers.

    LandmarksError
    ├── InvalidInputError          a field or value that cannot be used
    │   ├── InvalidPhotoError      bytes that are not a photo, or one over a limit
    │   └── TooLargeError          a request or an answer has more bytes than a message may
    ├── UnauthenticatedError       no key, or an unknown one
    ├── ForbiddenError             a source outside the allowed roots, or more than a key may
    ├── NotFoundError              no such model, gallery, point or job
    ├── AlreadyExistsError         the name or id is already in use
    ├── LineageError               vectors of two encoders would have been mixed
    ├── DamagedError               stored data cannot be read; an operator must act
    ├── OverloadedError            the queue is full; try again later
    │   ├── RateLimitedError       one client calls more often than it may
    │   └── DiskFullError          a disk has no room left
    ├── DeadlineError              the caller's deadline passed
    ├── UnavailableError           another part cannot be reached; a retry can help
    ├── UnsupportedError           this engine cannot do that
    └── ConfigurationError         the program was set up in a way that cannot work

`landmarks.rpc.status` maps each to one gRPC status code, and back. A message says what is wrong,
why, and if possible what to do.
"""

from __future__ import annotations

from landmarks.redaction import redacted


class LandmarksError(Exception):
    """Base of all errors that are reported to callers.

    Passwords in addresses are struck out of every message: callers, logs and jobs show it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(redacted(message))


class InvalidInputError(LandmarksError):
    """A field or value cannot be used.

    `field` names the offending field of the request, if there is one.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class InvalidPhotoError(InvalidInputError):
    """Bytes are not a photo that can be read, or a photo is over a limit."""

    def __init__(self, message: str, *, field: str = "photo") -> None:
        super().__init__(message, field=field)


class TooLargeError(InvalidInputError):
    """A request, or the answer to it, has more bytes than a message may; ask for less at once."""


class UnauthenticatedError(LandmarksError):
    """The caller gave no key, or an unknown one."""


class ForbiddenError(LandmarksError):
    """A source lies outside the allowed roots, or the caller's key may not do this."""


class NotFoundError(LandmarksError):
    """The model, gallery, point or job does not exist."""


class AlreadyExistsError(LandmarksError):
    """The name or id is already in use."""


class LineageError(LandmarksError):
    """Vectors of two encoders would have been mixed."""


class DamagedError(LandmarksError):
    """Stored data cannot be read, and no retry will help; the message says what will."""


class OverloadedError(LandmarksError):
    """The queue is full. `retry_after` is the seconds until a retry may help."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(OverloadedError):
    """This client calls more often than it may; others are served."""


class DiskFullError(OverloadedError):
    """A disk has no room for a write; what is there can be read. It passes once there is room."""

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message, retry_after=retry_after)


class DeadlineError(LandmarksError):
    """The caller's deadline passed, or could not be met."""


class UnavailableError(LandmarksError):
    """Another part cannot be reached now; a retry can help."""


class UnsupportedError(LandmarksError):
    """This engine cannot do what was requested."""


class ConfigurationError(LandmarksError):
    """The program was set up in a way that cannot work."""
