"""Who makes the present call, and which galleries it may use."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass

from landmarks.errors import ForbiddenError
from landmarks.security.api_keys import Permission


@dataclass(frozen=True)
class Caller:
    """A caller: the name of its key, empty if no key is required, and what that key may do.

    `galleries`: the only ones it may use; empty for all.
    """

    name: str = ""
    permission: Permission = Permission.WRITE
    galleries: frozenset[str] = frozenset()

    def may_use(self, gallery: str) -> bool:
        """Return whether the caller may use a gallery."""
        return not self.galleries or gallery in self.galleries

    def check_gallery(self, gallery: str) -> None:
        """Raise ForbiddenError unless the caller may use a gallery, whether or not it exists."""
        if not self.may_use(gallery):
            raise ForbiddenError(
                f"the key {self.name!r} may not use the gallery {gallery!r}, only"
                f" {', '.join(sorted(self.galleries))}; use a key made with"
                f" `landmarks keys create NAME --gallery {gallery}`"
            )


ANYBODY = Caller()

_admit: ContextVar[Callable[[], Caller]] = ContextVar("admit", default=lambda: ANYBODY)


def begin_call(admit: Callable[[], Caller]) -> None:
    """State how the caller of the call that runs in this context is admitted."""
    _admit.set(admit)  # never unset: each call runs in its own task


def present_caller() -> Caller:
    """Return the caller of the present call, as of now.

    Its key is checked again, so that a stream ends soon after the key is revoked. Raises
    UnauthenticatedError or ForbiddenError.
    """
    return _admit.get()()
