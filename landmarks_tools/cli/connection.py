"""Connecting to the search service with the API key and TLS files of the environment."""

from __future__ import annotations

from landmarks.client import Landmarks
from landmarks.settings import ClientSettings


def connect(server: str) -> Landmarks:
    """Return a client of the search service at `server`; the caller closes it.

    The key is not an option of the command, as other users of the machine can read those. Raises
    ConfigurationError if the key or a TLS file cannot be used.
    """
    settings = ClientSettings.load()
    return Landmarks(server, api_key=settings.key, tls=settings.tls)
