"""Starts three nodes: real ones, where their program is named, or the stand-in's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import grpc
from qdrant_client import QdrantClient
from qdrant_client import grpc as q

from tests.support.edge import edge_process, wait_until_serving
from tests.support.engine import qdrant_binary, running_server
from tests.support.ports import free_ports
from tests.support.processes import ROOT, end, eventually

NODES = (1, 2, 3)
# A real cluster as fast as it is; the stand-in in as little time as a test can do with.
_TIMES = {"silence": 0.5, "consensus": 0.5, "create": 0.2, "deactivation": 0.5, "recovery": 0.3}


class Cluster(ABC):
    """Three nodes, numbered from 1."""

    is_real: bool
    ports: list[int]

    def __init__(self) -> None:
        self.killed: set[int] = set()
        self.frozen: set[int] = set()

    def kill(self, node: int) -> None:
        """End a node at once, as a power cut would."""
        if node not in self.killed:
            self._kill(node)
            self.killed.add(node)

    def start(self, node: int) -> None:
        """Start a node that was killed, and wait until it serves."""
        if node in self.killed:
            self._start(node)
            self.killed.remove(node)

    def freeze(self, node: int) -> None:
        """Stop a node as SIGSTOP does: it accepts connections, and answers nothing."""
        self._freeze(node)
        self.frozen.add(node)

    def thaw(self, node: int) -> None:
        """Let a frozen node go on."""
        if node in self.frozen:
            self._thaw(node)
            self.frozen.remove(node)

    def restore(self) -> None:
        """Have all nodes run, and wait until every copy is whole."""
        for node in NODES:
            self.thaw(node)
            self.start(node)
        self.await_whole()

    @abstractmethod
    def _kill(self, node: int) -> None: ...

    @abstractmethod
    def _start(self, node: int) -> None: ...

    @abstractmethod
    def _freeze(self, node: int) -> None: ...

    @abstractmethod
    def _thaw(self, node: int) -> None: ...

    @property
    def addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def port(self, node: int) -> int:
        return self.ports[node - 1]

    def client(self, node: int) -> QdrantClient:
        """Return a client of one node alone, which repeats nothing."""
        return QdrantClient(
            host="127.0.0.1",
            port=None,
            grpc_port=self.port(node),
            prefer_grpc=True,
            check_compatibility=False,
            timeout=60,
        )

    def states(self, collection: str, seen_by: int) -> Counter[str] | None:
        """Return how many copies are in each state, as a node sees it; None if it is away."""
        with grpc.insecure_channel(self.addresses[seen_by - 1]) as channel:
            stub = q.CollectionsStub(channel)
            try:
                info = stub.CollectionClusterInfo(
                    q.CollectionClusterInfoRequest(collection_name=collection), timeout=10
                )
            except grpc.RpcError:
                return None
        shards = [*info.local_shards, *info.remote_shards]
        return Counter(q.ReplicaState.Name(one.state) for one in shards)

    def await_whole(self, nodes: tuple[int, ...] = NODES) -> None:
        """Wait until each of the nodes sees no copy of any collection that is not Active."""

        def whole() -> bool:
            for node in nodes:
                with closing(self.client(node)) as client:
                    try:
                        names = [one.name for one in client.get_collections().collections]
                    except grpc.RpcError:
                        return False
                states = [self.states(name, node) for name in names]
                if any(state is None or state.keys() != {"Active"} for state in states):
                    return False
            return True

        eventually(whole, "every copy is active")


@contextmanager
def cluster_running(folder: Path) -> Iterator[Cluster]:
    """Run three nodes with their data in `folder`."""
    with ExitStack() as ends:
        running = RealCluster if qdrant_binary() else StandIn
        yield running(folder, ends)


class RealCluster(Cluster):
    """Three servers of the program that is named."""

    is_real = True

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        super().__init__()
        self._folder = folder
        ports = free_ports(3 * len(NODES))
        self.ports, self._http, self._peer_ports = ports[:3], ports[3:6], ports[6:]
        self._running: dict[int, ExitStack] = {}
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        ends.callback(self._end)
        for node in NODES:
            self._start(node)

    def _start(self, node: int) -> None:
        uris = [f"http://127.0.0.1:{port}" for port in self._peer_ports]
        arguments = ("--uri", uris[node - 1])
        if node != 1:
            arguments += ("--bootstrap", uris[0])
        settings = {
            "CLUSTER__ENABLED": "true",
            "CLUSTER__P2P__PORT": str(self._peer_ports[node - 1]),
        }
        self._running[node] = ExitStack()
        process = self._running[node].enter_context(
            running_server(
                self._folder / f"node{node}",
                self.port(node),
                self._http[node - 1],
                settings,
                arguments,
                log=self._folder / f"node{node}.log",
            )
        )
        self._processes[node] = process
        wait_until_serving(process, self.port(node))

    def _kill(self, node: int) -> None:
        self._processes[node].kill()
        self._processes[node].wait()
        self._running.pop(node, ExitStack()).close()

    def _freeze(self, node: int) -> None:
        os.kill(self._processes[node].pid, signal.SIGSTOP)

    def _thaw(self, node: int) -> None:
        os.kill(self._processes[node].pid, signal.SIGCONT)

    def _end(self) -> None:
        for node in list(self._running):
            self._kill(node)


class StandIn(Cluster):
    """The stand-in, a process of its own, over three embedded servers."""

    is_real = False

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        super().__init__()
        with ThreadPoolExecutor() as together:
            servers = [edge_process(folder / f"node{node}") for node in NODES]
            started = [together.submit(ends.enter_context, server) for server in servers]
            backends = [one.result().port for one in started]
        self.ports = free_ports(len(NODES))
        given = json.dumps({"ports": self.ports, "backends": backends, "times": _TIMES})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.qdrant_cluster", given],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        ends.callback(self._end)
        self._expect("ready")

    def _kill(self, node: int) -> None:
        self._tell(f"kill {node}")

    def _start(self, node: int) -> None:
        self._tell(f"start {node}")

    def _freeze(self, node: int) -> None:
        self._tell(f"freeze {node}")

    def _thaw(self, node: int) -> None:
        self._tell(f"thaw {node}")

    def _tell(self, command: str) -> None:
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        self._expect("done")

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        assert said == line, f"the stand-in said {said!r}, and ended with {self._process.poll()}"

    def _end(self) -> None:
        end(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
