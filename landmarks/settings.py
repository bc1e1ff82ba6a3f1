"""Settings: typed, frozen, read once from the environment.

Every name has the prefix `LANDMARKS_` and is the same for the processes of `landmarks up`, for
Compose and for Kubernetes. Each service adds its own fields to `Settings` in its `settings.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

import platformdirs
from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from landmarks.addresses import parse_addresses
from landmarks.broker_address import password_apart, with_password
from landmarks.errors import ConfigurationError
from landmarks.security.tls import Tls

ENV_PREFIX = "LANDMARKS_"
# A folder whose files are settings, named as the variables in lower case: secrets, as Docker and
# Kubernetes mount them. The environment takes precedence.
SECRETS_DIR = f"{ENV_PREFIX}SECRETS_DIR"
# The maximum bytes of one photo, unless LANDMARKS_MAX_PHOTO_BYTES says otherwise.
# A TIFF of 24 megapixels and 16 bits has 144 million.
DEFAULT_MAX_PHOTO_BYTES = 150_000_000


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


# Where an optional server listens; empty or negative: nowhere, 0: on any free port.
OptionalPort = Annotated[
    Annotated[int, Field(ge=0, le=65535)] | None, BeforeValidator(_none_if_switched_off)
]


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


# Empty is the same as unset, so that Compose can pass on variables that may be unset.
OptionalPath = Annotated[Path | None, BeforeValidator(_none_if_empty)]
OptionalBool = Annotated[bool | None, BeforeValidator(_none_if_empty)]
Switch = Annotated[bool, BeforeValidator(lambda value: False if value == "" else value)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_none_if_empty)]


def default_cache_dir() -> Path:
    """Return the user's cache folder for weights and the sample gallery."""
    return Path(platformdirs.user_cache_dir("landmarks"))


class Settings(BaseSettings):
    """The settings that every process has."""

    # A traceback of a validation error would show the value, which may be a secret.
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    log_level: str = Field("INFO", pattern="^(?i:debug|info|warning|error|critical)$")
    log_format: str = Field("json", pattern="^(json|console)$")
    cache_dir: Path = Field(default_factory=default_cache_dir)

    # Where metrics are served; None: nowhere, 0: on any free port. docs/observability.md
    metrics_port: int | None = Field(None, ge=0, le=65535)
    metrics_host: str = "127.0.0.1"
    # Where spans go, as in http://127.0.0.1:4317 (OTLP over gRPC); empty: no spans.
    otlp_endpoint: str = Field("", pattern=r"^(https?://\S+)?$")

    # PEM files. On a server, certificate and key turn TLS on; when a service calls another, they
    # are its client certificate. The CA file (one CA or several) is what our services trust:
    # clients use TLS if it is set, and servers then demand certificates of it by default.
    tls_certificate: OptionalPath = None
    tls_key: OptionalPath = None
    tls_ca: OptionalPath = None
    tls_client_certificates: OptionalBool = None
    # The name in the certificates of the servers called, if it is not the host of their address.
    tls_server_name: str = ""
    # Whether this process may listen on other than loopback without asking who calls.
    allow_unauthenticated: Switch = False

    @model_validator(mode="before")
    @classmethod
    def _empty_folders_are_unset(cls, values: Mapping[str, object]) -> Mapping[str, object]:
        # Else an empty variable would be the folder that the process happens to run in.
        return {
            name: value
            for name, value in values.items()
            if value != "" or not name.endswith("_dir")
        }

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("LANDMARKS_TLS_CERTIFICATE and LANDMARKS_TLS_KEY need each other")
        if self.tls_client_certificates and None in (self.tls_ca, self.tls_certificate):
            raise ValueError(
                "LANDMARKS_TLS_CLIENT_CERTIFICATES needs LANDMARKS_TLS_CA, whose certificates are"
                " demanded, and LANDMARKS_TLS_CERTIFICATE"
            )
        return self

    @property
    def tls(self) -> Tls:
        """The files of TLS; see `Tls.serves` and `Tls.calls` for whether it is on."""
        demanded = self.tls_client_certificates
        return Tls(
            self.tls_certificate,
            self.tls_key,
            self.tls_ca,
            demands_client_certificates=self.tls_ca is not None if demanded is None else demanded,
            server_name=self.tls_server_name,
        )

    @classmethod
    def load(cls, environment: Mapping[str, object] | None = None) -> Self:
        """Read the settings from the environment, then from the folder of secrets.

        `environment` (field: value) takes precedence. Raises ConfigurationError that names each
        variable that cannot be used, and why.
        """
        secrets = os.environ.get(SECRETS_DIR) or None
        if secrets is not None and not Path(secrets).is_dir():
            raise ConfigurationError(f"{SECRETS_DIR} is {secrets!r}, which is not a folder")
        try:
            return cls(_secrets_dir=secrets, **(environment or {}))  # type: ignore[arg-type]
        except ValidationError as error:
            wrong = "; ".join(
                f"{ENV_PREFIX}{'_'.join(str(part) for part in problem['loc']).upper()}:"
                f" {problem['msg']}"
                if problem["loc"]
                else problem["msg"].removeprefix("Value error, ")  # of several settings together
                for problem in error.errors()
            )
            raise ConfigurationError(f"settings that cannot be used: {wrong}") from error
        except SettingsError as error:  # a list or mapping that is not JSON
            raise ConfigurationError(f"settings that cannot be used: {error}") from error


class QdrantSettings(Settings):
    """Where Qdrant is; over gRPC, in production and embedded alike.

    `qdrant_host` is one host, a name with the addresses of several nodes, or a list of nodes with
    commas between them; `qdrant_port` is the port of those that are given without one. With
    `qdrant_tls`, its certificate must be signed by `qdrant_tls_ca`, or else by `tls_ca`, or if both
    are unset, by a public authority.
    """

    qdrant_host: str = "127.0.0.1"
    qdrant_port: int = Field(6334, ge=1, le=65535)
    qdrant_timeout_seconds: float = Field(30, gt=0)
    qdrant_api_key: OptionalSecret = None
    qdrant_tls: Switch = False
    qdrant_tls_ca: OptionalPath = None

    @model_validator(mode="after")
    def _addresses_are_some(self) -> Self:
        try:
            parse_addresses(self.qdrant_host, self.qdrant_port)
        except ValueError as error:
            raise ValueError(f"{ENV_PREFIX}QDRANT_HOST: {error}") from None
        return self

    @property
    def qdrant_addresses(self) -> tuple[str, ...]:
        """Each address that is set, as `host:port`."""
        return parse_addresses(self.qdrant_host, self.qdrant_port)


class BrokerSettings(Settings):
    """Where Redis or Valkey is: the broker of Celery and the state of jobs.

    `rediss://` is Redis over TLS, with the files of `tls`. The password is kept apart from the
    address, which appears in logs and errors: `redis_url` never has it, even if the variable did.
    """

    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password: OptionalSecret = None

    @model_validator(mode="before")
    @classmethod
    def _password_apart(cls, values: dict[str, object]) -> dict[str, object]:
        if not isinstance(values.get("redis_url"), str):
            return values
        try:
            url, password = password_apart(str(values["redis_url"]))
        except ValueError as error:
            raise ValueError(f"{ENV_PREFIX}REDIS_URL cannot be used: {error}") from None
        if not password:
            return {**values, "redis_url": url}
        if values.get("redis_password"):
            raise ValueError(
                "LANDMARKS_REDIS_URL has a password, and there is LANDMARKS_REDIS_PASSWORD; leave"
                " out one of them"
            )
        return {**values, "redis_url": url, "redis_password": SecretStr(password)}

    @property
    def broker_url(self) -> str:
        """The address with password and TLS in it, to connect with; never to be shown.

        In this form both redis-py and Celery take them.
        """
        url = self.redis_url
        if self.redis_password is not None:
            url = with_password(url, self.redis_password.get_secret_value())
        parts = urlsplit(url)
        if parts.scheme == "rediss":
            files = {
                "ssl_cert_reqs": "required",
                "ssl_ca_certs": self.tls_ca,
                "ssl_certfile": self.tls_certificate,
                "ssl_keyfile": self.tls_key,
            }
            given = {name: str(value) for name, value in files.items() if value}
            parts = parts._replace(query=urlencode({**given, **dict(parse_qsl(parts.query))}))
        return parts.geturl()


class EncoderEndpoints(Settings):
    """Where the encoders are.

    `encoders` is JSON: a model's name to one or more gRPC targets, each a set of replicas with the
    same digest, as in `{"vgg16": ["dns:///encoder-vgg16:50051"]}`. A second target is the same
    model with another digest, during a roll-out.
    """

    encoders: dict[str, list[str]] = Field(default_factory=dict)


class ClientSettings(Settings):
    """The settings of a client of the search service, such as the command."""

    api_key: OptionalSecret = None

    @property
    def key(self) -> str:
        """The API key in the clear; empty if there is none."""
        return self.api_key.get_secret_value() if self.api_key else ""
