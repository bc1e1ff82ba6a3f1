"""Settings of the embedded vector database."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import platformdirs
from pydantic import Field, model_validator

from landmarks.settings import OptionalSecret, Settings, Switch


def default_data_dir() -> Path:
    """Return the user's folder for the embedded vector database."""
    return Path(platformdirs.user_data_dir("landmarks")) / "qdrant"


class EdgeSettings(Settings):
    """Where the embedded database listens and keeps its data.

    With `qdrant_api_key` it admits only calls with that key, and with `qdrant_tls` it serves with
    `tls_certificate`: its clients have the same settings. `edge_optimize_after_seconds` is how long
    a collection must have had no writes before an index that is due is built.
    """

    edge_host: str = "127.0.0.1"
    qdrant_port: int = Field(6334, ge=0, le=65535)
    qdrant_api_key: OptionalSecret = None
    qdrant_tls: Switch = False
    edge_data_dir: Path = Field(default_factory=default_data_dir)
    edge_optimize_after_seconds: float = Field(5, gt=0)

    @model_validator(mode="after")
    def _has_what_tls_needs(self) -> Self:
        if self.qdrant_tls and self.tls_certificate is None:
            raise ValueError(
                "LANDMARKS_QDRANT_TLS is on, and there is no LANDMARKS_TLS_CERTIFICATE to serve"
                " with; set it and LANDMARKS_TLS_KEY"
            )
        return self
