"""The peers: how each is started, reached and tuned."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from benchmarks.harness import CannotMeasureError
from benchmarks.peers.environment import python_with
from benchmarks.peers.peer_model import PeerSettings, Sharing
from benchmarks.processes import Server, running, wait_until
from encoder_service.models.preprocessing import Resized
from encoder_service.onnx_cache import PreparedModel
from landmarks_tools.local_stack.free_ports import free_ports, listens

_HERE = "benchmarks.peers"
# No model hub is contacted, and no telemetry is sent.
_ALONE = {"BENTOML_DO_NOT_TRACK": "True", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Peer:
    """Another server. `sharings` are worth trying with so many cores; `words` say what it is."""

    name: str
    words: str
    protocol: Literal["grpc", "http"]
    command: Callable[[Path, int], list[str]]
    sharings: Callable[[int], Sequence[Sharing]]
    installed: bool = True

    def python(self, cache: Path) -> Path:
        """Return the Python that it runs with. Raises CannotMeasureError where there is none."""
        return Path(sys.executable) if self.installed else python_with(self.name, cache)


def _plain_sharings(cores: int) -> list[Sharing]:
    found = [(cores, 1), (1, cores), (cores + 1, 1), (2 * cores, 1), (cores, cores)]
    return [Sharing(workers, threads, 1) for workers, threads in dict.fromkeys(found)]


def _batched_sharings(cores: int) -> list[Sharing]:
    shares = dict.fromkeys([(cores, 1), (1, cores)])
    return [Sharing(workers, threads, batch) for workers, threads in shares for batch in (2, 8, 32)]


PEERS = (
    Peer(
        "plain",
        "grpc.aio, no batching, a thread pool decodes and runs",
        "grpc",
        lambda python, _: [str(python), "-m", f"{_HERE}.plain_grpc"],
        _plain_sharings,
    ),
    Peer(
        "bentoml",
        "BentoML with adaptive batching, raw bodies over HTTP, no metrics or access log",
        "http",
        lambda python, port: [
            *(str(python), "-m", "bentoml", "serve", f"{_HERE}.bento:PhotoEncoder"),
            *("--host", "127.0.0.1", "--port", str(port)),
        ],
        _batched_sharings,
        installed=False,
    ),
    Peer(
        "infinity",
        "infinity's BatchHandler behind a lean grpc.aio front, its delay half of the core step",
        "grpc",
        lambda python, _: [str(python), "-m", f"{_HERE}.infinity"],
        _batched_sharings,
        installed=False,
    ),
)


@contextlib.contextmanager
def serving(
    peer: Peer, model: str, prepared: PreparedModel, sharing: Sharing, cache: Path
) -> Iterator[Server]:
    """Run a peer until the block ends; it listens when the block begins."""
    if not isinstance(prepared.preprocessing, Resized):
        raise CannotMeasureError(f"peers cannot preprocess as {model} does")
    python = peer.python(cache)
    [port] = free_ports(1)
    settings = PeerSettings(
        model, port, str(prepared.onnx), asdict(prepared.preprocessing), sharing
    )
    homes = {"BENTOML_HOME": cache / "bentoml-home", "INFINITY_HOME": cache / "infinity-home"}
    for home in homes.values():
        home.mkdir(parents=True, exist_ok=True)
    environment = {**_ALONE, **{name: str(home) for name, home in homes.items()}}
    environment |= settings.environment()
    with running(peer.command(python, port), environment) as process:
        wait_until(process, lambda: listens(port), f"{peer.name} to listen")
        yield Server(process, port)
