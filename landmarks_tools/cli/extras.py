"""Commands that need packages which an extra of the distribution installs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from landmarks.errors import ConfigurationError

DISTRIBUTION = "landmark-reverse-image-search"
# A missing module of ours is a mistake in the code, which no extra repairs.
_OWN_PACKAGES = (
    "encoder_service",
    "indexer_worker",
    "landmarkapi",
    "landmarks",
    "landmarks_tools",
    "search_service",
)


@contextmanager
def requires_extra(extra: str, what: str = "this command") -> Iterator[None]:
    """Name the extra to install where a package is missing; decorates a command or wraps a block.

    The packages must be imported inside, so that other commands run without them. `extra` may be
    several, as in `encoder,evaluation`. Raises ConfigurationError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in _OWN_PACKAGES:
            raise
        names = " and ".join(f"`{name}`" for name in extra.split(","))
        raise ConfigurationError(
            f"{what} needs the extra {names} (module {package} not found); install it with:"
            f" pip install '{DISTRIBUTION}[{extra}]'"
        ) from error
