"""Which error to answer with when no model could answer."""

from __future__ import annotations

from collections.abc import Sequence

from landmarks.errors import (
    DeadlineError,
    InvalidInputError,
    InvalidPhotoError,
    LandmarksError,
    LineageError,
    NotFoundError,
    OverloadedError,
    UnavailableError,
)
from search_service.search.model_search import ModelFailure

# A photo that cannot be read stays so, however often it is sent; next come the failures that pass
# by themselves, so that a caller retries; then those that someone has to put right.
_PRECEDENCE: tuple[type[LandmarksError], ...] = (
    InvalidPhotoError,
    InvalidInputError,
    UnavailableError,
    OverloadedError,
    DeadlineError,
    LineageError,
    NotFoundError,
    LandmarksError,
)


def select_error(failures: Sequence[ModelFailure]) -> Exception:
    """Return one error for `failures`, of at least one model."""
    for kind in _PRECEDENCE:
        alike = [failure for failure in failures if isinstance(failure.error, kind)]
        if alike:
            return _together(alike)
    return failures[0].error


def _together(alike: Sequence[ModelFailure]) -> Exception:
    first = alike[0].error
    texts = {failure.model: str(failure.error) for failure in alike}
    if len(set(texts.values())) == 1 or isinstance(first, InvalidInputError):
        return first
    message = "; ".join(f"{model}: {text}" for model, text in texts.items())
    if isinstance(first, OverloadedError):
        waits = [f.error.retry_after for f in alike if isinstance(f.error, OverloadedError)]
        return OverloadedError(message, retry_after=max(waits))
    return type(first)(message)
