"""Connecting to the search service as the environment says: its key, and TLS."""

from __future__ import annotations

from landmarks.client import Landmarks
from landmarks.settings import ClientSettings


def connect(server: str) -> Landmarks:
    """Return a client of the search service at `server`; close it when done.

    The key is no argument of the command: other users of the machine can read those. Raises
    ConfigurationError where the key or a file of TLS cannot be used.
    """
    settings = ClientSettings.load()
    return Landmarks(server, api_key=settings.key, tls=settings.tls)
