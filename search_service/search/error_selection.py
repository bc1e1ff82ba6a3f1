"""Selects the error to return when no model answered."""

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

# First the errors of the request, which a retry cannot change; then transient ones, so that the
# caller retries; then those that an operator must fix.
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
    """Return one error for all of `failures`, at least one."""
    for kind in _PRECEDENCE:
        alike = [failure for failure in failures if isinstance(failure.error, kind)]
        if alike:
            return _merged(alike)
    return failures[0].error


def _merged(alike: Sequence[ModelFailure]) -> Exception:
    first = alike[0].error
    texts = {failure.model: str(failure.error) for failure in alike}
    if len(set(texts.values())) == 1 or isinstance(first, InvalidInputError):
        return first
    message = "; ".join(f"{model}: {text}" for model, text in texts.items())
    if isinstance(first, OverloadedError):
        waits = [f.error.retry_after for f in alike if isinstance(f.error, OverloadedError)]
        return OverloadedError(message, retry_after=max(waits))
    return type(first)(message)
