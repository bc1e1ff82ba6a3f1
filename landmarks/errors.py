"""Everything that can go wrong in a way that a caller should be told of.

    LandmarksError
    ├── InvalidInputError          a field or value that cannot be used
    │   └── InvalidPhotoError      bytes that are not a photo, or one over a limit
    ├── UnauthenticatedError       no key, or one that is not known
    ├── ForbiddenError             a source outside the allowed roots, or more than a key may
    ├── NotFoundError              no such model, gallery, point or job
    ├── AlreadyExistsError         the name or id stands for something else already
    ├── LineageError               vectors of two encoders would have been mixed
    ├── OverloadedError            the queue is full; try again later
    │   └── RateLimitedError       one client asks more often than it may
    ├── DeadlineError              the caller's time was up
    ├── UnavailableError           another part cannot be reached; a retry can help
    ├── UnsupportedError           this engine cannot do that
    └── ConfigurationError         the program was set up in a way that cannot work

`landmarks.rpc.status` maps each to one gRPC status code, and back. A message names what is wrong,
why, and where it can, what to do.
"""

from __future__ import annotations


class LandmarksError(Exception):
    """Base of all errors that are told to callers."""


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


class UnauthenticatedError(LandmarksError):
    """The caller gave no key, or one that is not known."""


class ForbiddenError(LandmarksError):
    """A source lies outside the allowed roots, or the caller's key may not do this."""


class NotFoundError(LandmarksError):
    """There is no such model, gallery, point or job."""


class AlreadyExistsError(LandmarksError):
    """The name or id stands for something else already."""


class LineageError(LandmarksError):
    """Vectors of two encoders would have been mixed."""


class OverloadedError(LandmarksError):
    """The queue is full. `retry_after` says in how many seconds trying again may help."""

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimitedError(OverloadedError):
    """This client asks more often than it may; others are served."""


class DeadlineError(LandmarksError):
    """The caller's deadline passed, or could not be met."""


class UnavailableError(LandmarksError):
    """Another part cannot be reached now; a retry can help."""


class UnsupportedError(LandmarksError):
    """This engine cannot do what was asked."""


class ConfigurationError(LandmarksError):
    """The program was set up in a way that cannot work."""
