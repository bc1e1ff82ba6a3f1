"""Plans the processes of the stack, before anything is started."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from landmarks.errors import InvalidInputError
from landmarks.settings import ENV_PREFIX, QdrantSettings
from landmarks_tools.local_stack.settings import StackSettings

HOST = "127.0.0.1"
_LAST_PORT = 65535


class Role(StrEnum):
    """What a process does; decides how its readiness is checked."""

    BROKER = "broker"
    VECTORS = "vectors"
    ENCODER = "encoder"
    WORKER = "worker"
    SEARCH = "search"


@dataclass(frozen=True)
class Process:
    """One process of the stack."""

    name: str
    role: Role
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int | None = None
    model: str = ""
    metrics_port: int | None = None
    page_port: int | None = None

    @property
    def address(self) -> str:
        """The address it listens on, or the queue it consumes."""
        return f"{HOST}:{self.port}" if self.port else f"queue of {self.model}"

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports it listens on: for calls, the page and metrics."""
        return tuple(port for port in (self.port, self.page_port, self.metrics_port) if port)


@dataclass(frozen=True)
class StackPlan:
    """The processes that `landmarks up` starts, in order.

    `qdrant` has the addresses of a Qdrant that is there already; empty: the stack starts its own.
    """

    processes: tuple[Process, ...]
    data_dir: Path
    redis_url: str
    qdrant: str = ""

    @property
    def server(self) -> str:
        """The address of the search service."""
        return self.one(Role.SEARCH).address

    @property
    def page(self) -> str:
        """The address of the web page; empty if there is none or its port is chosen at start."""
        port = self.one(Role.SEARCH).page_port
        return f"http://localhost:{port}" if port else ""

    def one(self, role: Role) -> Process:
        """Return the first process with a role."""
        return next(process for process in self.processes if process.role == role)


def plan_stack(
    models: Sequence[str],
    scale: Mapping[str, int],
    settings: StackSettings,
    broker_binary: Path,
    *,
    beside: Mapping[str, Sequence[str]] = MappingProxyType({}),
    qdrant: QdrantSettings | None = None,
) -> StackPlan:
    """Plan the stack for `models`, each with `scale[model]` encoder processes (1 if absent).

    `beside` has addresses of encoders that run outside the stack, such as a newer version;
    `qdrant` says where the vectors are, if the stack starts no Qdrant of its own.

    Raises InvalidInputError for a scale of an unknown model or below 1, and where two processes
    would share a port.
    """
    if not models:
        raise InvalidInputError("no model to serve; name one with --models")
    for model, count in scale.items():
        if model not in models:
            raise InvalidInputError(f"--scale names {model!r}, which is not among --models")
        if count < 1:
            raise InvalidInputError(f"--scale {model}={count}: at least 1 process is needed")

    for model in beside:
        if model not in models:
            raise InvalidInputError(f"--beside names {model!r}, which is not among --models")

    # The first process of each model keeps the port it has unscaled, as in Compose.
    ordered = [*models, *(model for model in models for _ in range(scale.get(model, 1) - 1))]
    encoders = [(model, settings.encoder_port + index) for index, model in enumerate(ordered)]
    if encoders[-1][1] > _LAST_PORT:
        raise InvalidInputError(
            f"{len(encoders)} encoders do not fit between port {settings.encoder_port} and"
            f" {_LAST_PORT}; start fewer"
        )
    targets = {
        model: "ipv4:" + ",".join(f"{HOST}:{port}" for name, port in encoders if name == model)
        for model in models
    }
    own = {f"{HOST}:{port}" for _, port in encoders}
    for address in (one for several in beside.values() for one in several):
        if address in own:
            raise InvalidInputError(
                f"--beside names {address}, where the stack starts an encoder itself; start the"
                " other one on another port, such as LANDMARKS_ENCODER_PORT=50071"
            )
    redis_url = f"redis://{HOST}:{settings.redis_port}/0"
    shared = {
        # On loopback TLS would protect nothing; values in the environment are meant for other
        # stacks.
        "TLS_CERTIFICATE": "",
        "TLS_KEY": "",
        "TLS_CA": "",
        "TLS_CLIENT_CERTIFICATES": "",
        "REDIS_PASSWORD": "",
        "CACHE_DIR": str(settings.cache_dir),
        "LOG_LEVEL": settings.log_level,
        "LOG_FORMAT": settings.log_format,
        "OTLP_ENDPOINT": settings.otlp_endpoint,
        **(_own_qdrant(settings) if qdrant is None else _given_qdrant(qdrant)),
        "REDIS_URL": redis_url,
        "ENCODERS": json.dumps(
            {model: [target, *beside.get(model, ())] for model, target in targets.items()}
        ),
        "SOURCE_ROOTS": json.dumps(settings.source_roots),
    }

    processes = [_broker(settings, broker_binary)]
    if qdrant is None:
        environment = _environment(
            shared, EDGE_HOST=HOST, EDGE_DATA_DIR=str(settings.data_dir / "qdrant")
        )
        command = _module("landmarks.edge_server")
        processes.append(
            Process("qdrant", Role.VECTORS, command, environment, settings.qdrant_port)
        )
    seen: dict[str, int] = {}
    for model, port in encoders:
        seen[model] = seen.get(model, 0) + 1
        name = f"encoder-{model}" if seen[model] == 1 else f"encoder-{model}-{seen[model]}"
        environment = _environment(
            shared,
            MODELS=model,
            ENCODER_HOST=HOST,
            ENCODER_PORT=str(port),
        )
        processes.append(
            Process(name, Role.ENCODER, _module("encoder_service"), environment, port, model)
        )
    processes += [
        Process(
            f"worker-{model}",
            Role.WORKER,
            _module("indexer_worker"),
            _environment(shared, MODELS=model, WORKER_NAME=f"worker-{model}"),
            model=model,
        )
        for model in models
    ]
    processes.append(
        Process(
            "search",
            Role.SEARCH,
            _module("search_service"),
            _environment(
                shared,
                SEARCH_HOST=HOST,
                SEARCH_PORT=str(settings.search_port),
                PAGE_HOST=HOST,
                PAGE_PORT="" if settings.page_port is None else str(settings.page_port),
            ),
            settings.search_port,
            page_port=settings.page_port,
        )
    )
    if settings.metrics_port is not None:
        processes = _with_metrics(processes, len(models), settings, settings.metrics_port)
    _refuse_shared_ports(processes)
    given = ",".join(qdrant.qdrant_addresses) if qdrant is not None else ""
    return StackPlan(tuple(processes), settings.data_dir, redis_url, given)


def _own_qdrant(settings: StackSettings) -> dict[str, str]:
    return {
        "QDRANT_HOST": HOST,
        "QDRANT_PORT": str(settings.qdrant_port),
        "QDRANT_TLS": "false",
        # The embedded engine has one shard.
        "QDRANT_SHARD_NUMBER": "1",
        "QDRANT_REPLICATION_FACTOR": "1",
        "QDRANT_WRITE_CONSISTENCY_FACTOR": "1",
    }


def _given_qdrant(qdrant: QdrantSettings) -> dict[str, str]:
    """Return where it is; its key and the layout of collections are as the environment has them."""
    return {
        "QDRANT_HOST": ",".join(qdrant.qdrant_addresses),
        "QDRANT_PORT": str(qdrant.qdrant_port),
        "QDRANT_TLS": str(qdrant.qdrant_tls).lower(),
        "QDRANT_TLS_CA": str(qdrant.qdrant_tls_ca or ""),
    }


def _broker(settings: StackSettings, binary: Path) -> Process:
    """Valkey, keeping every write in its append-only file and never evicting a job."""
    command = (
        str(binary),
        *("--bind", HOST, "--port", str(settings.redis_port)),
        *("--dir", str(settings.data_dir / "valkey"), "--appendonly", "yes", "--save", ""),
        *("--maxmemory-policy", "noeviction"),
    )
    return Process("valkey", Role.BROKER, command, {}, settings.redis_port)


def _with_metrics(
    processes: Sequence[Process], models: int, settings: StackSettings, first: int
) -> list[Process]:
    """Give each of our processes a metrics port from `first` up; with 0, any free port each.

    Processes added by scaling come last, so that no port moves, as in Compose.
    """
    encoders = [process for process in processes if process.role == Role.ENCODER]
    added = [process.name for process in encoders[models:]]
    others = [p.name for p in processes if p.role not in (Role.BROKER, Role.VECTORS)]
    # Qdrant's is kept for it where it runs elsewhere.
    ordered = ["qdrant", *(name for name in others if name not in added), *added]
    ports = {name: first + index if first else 0 for index, name in enumerate(ordered)}
    if first + len(ordered) > _LAST_PORT:
        raise InvalidInputError(
            f"there are no {len(ordered)} ports from {first} up; set LANDMARKS_METRICS_PORT to"
            " a lower one"
        )
    return [
        replace(
            process,
            metrics_port=port or None,
            environment={
                **process.environment,
                **_environment({}, METRICS_HOST=settings.metrics_host, METRICS_PORT=str(port)),
            },
        )
        if (port := ports.get(process.name)) is not None
        else process
        for process in processes
    ]


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def _environment(shared: Mapping[str, str], **own: str) -> dict[str, str]:
    return {f"{ENV_PREFIX}{name}": value for name, value in {**shared, **own}.items()}


def _refuse_shared_ports(processes: Sequence[Process]) -> None:
    owners: dict[int, str] = {}
    for process in processes:
        for port in process.ports:
            if port in owners:
                raise InvalidInputError(
                    f"{owners[port]} and {process.name} would both listen on port {port}; set"
                    " LANDMARKS_…_PORT of one of them to another"
                )
            owners[port] = process.name
