"""Settings: typed, frozen, read once from the environment.

Every name has the prefix `LANDMARKS_` and is the same for the processes of `landmarks up`, for
Compose and for Kubernetes. Each service adds its own fields to `Settings` in its `settings.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

import platformdirs
from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from landmarks.errors import ConfigurationError

ENV_PREFIX = "LANDMARKS_"
# The most bytes of one photo, unless LANDMARKS_MAX_PHOTO_BYTES says otherwise.
DEFAULT_MAX_PHOTO_BYTES = 20_000_000


def _split_names(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return tuple(json.loads(value))
    return tuple(name for part in value.split(",") if (name := part.strip()))


# Names in an environment variable: with commas between them, or as a JSON list.
NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_names)]


def _none_if_switched_off(value: object) -> object:
    text = value.strip() if isinstance(value, str) else value
    if text == "" or (isinstance(text, (str, int)) and str(text).startswith("-")):
        return None
    return text


# Where something is served on request; empty or negative: nowhere, 0: on any free port.
OptionalPort = Annotated[
    Annotated[int, Field(ge=0, le=65535)] | None, BeforeValidator(_none_if_switched_off)
]


def default_cache_dir() -> Path:
    """Return the user's cache folder for weights and the sample gallery."""
    return Path(platformdirs.user_cache_dir("landmarks"))


class Settings(BaseSettings):
    """What every process may be told."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, frozen=True, extra="ignore")

    log_level: str = "INFO"
    log_format: str = Field("json", pattern="^(json|console)$")
    cache_dir: Path = Field(default_factory=default_cache_dir)

    # Where metrics are served; None: nowhere, 0: on any free port. docs/observability.md
    metrics_port: int | None = Field(None, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    # Where spans go, as in http://127.0.0.1:4317 (OTLP over gRPC); empty: there are none.
    otlp_endpoint: str = Field("", pattern=r"^(https?://\S+)?$")

    @classmethod
    def load(cls, environment: Mapping[str, object] | None = None) -> Self:
        """Read the settings from the environment; `environment` (field: value) takes precedence.

        Raises ConfigurationError that names each variable that cannot be used, and why.
        """
        try:
            return cls(**(environment or {}))  # type: ignore[arg-type]
        except ValidationError as error:
            wrong = "; ".join(
                f"{ENV_PREFIX}{'_'.join(str(part) for part in problem['loc']).upper()}:"
                f" {problem['msg']}"
                for problem in error.errors()
            )
            raise ConfigurationError(f"settings that cannot be used: {wrong}") from error
        except SettingsError as error:  # a list or mapping that is not JSON
            raise ConfigurationError(f"settings that cannot be used: {error}") from error


class QdrantSettings(Settings):
    """Where Qdrant is; over gRPC, in production and embedded alike."""

    qdrant_host: str = "127.0.0.1"
    qdrant_port: int = Field(6334, ge=1, le=65535)
    qdrant_timeout_seconds: float = Field(30, gt=0)


class BrokerSettings(Settings):
    """Where Redis or Valkey is: the broker of Celery and the state of jobs."""

    redis_url: str = "redis://127.0.0.1:6379/0"


class EncoderEndpoints(Settings):
    """Where the encoders are.

    `encoders` is JSON: a model's name to one or more gRPC targets, each a set of replicas with the
    same digest, as in `{"vgg16": ["dns:///encoder-vgg16:50051"]}`. A second target is the same
    model with another digest, during a roll-out.
    """

    encoders: dict[str, list[str]] = Field(default_factory=dict)
