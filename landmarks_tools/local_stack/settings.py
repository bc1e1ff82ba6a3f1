"""The settings of `landmarks up`."""

from __future__ import annotations

from pathlib import Path

import platformdirs
from pydantic import Field

from landmarks.settings import OptionalPort, Settings


class StackSettings(Settings):
    """Ports and folders of the stack on this machine; every part has a port of its own.

    Encoder processes take the ports from `encoder_port` up, in the order of the models. Where
    `metrics_port` is set, every process of ours serves metrics on a port of its own from it up.
    """

    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("landmarks")))
    search_port: int = Field(50050, ge=1, le=65535)
    page_port: OptionalPort = 8080
    encoder_port: int = Field(50051, ge=1, le=65000)
    qdrant_port: int = Field(6334, ge=1, le=65535)
    redis_port: int = Field(6379, ge=1, le=65535)
    # What the workers may read. The stack listens on loopback only, so its callers could usually
    # read this user's files anyway.
    source_roots: list[str] = Field(default_factory=lambda: ["/"])
