"""The whole system with every lock on, as processes: two encoders and two workers.

Each pair is on two addresses of this machine, as two replicas would be.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import grpc

from landmarkapi.encoder.v1.encoder_pb2 import GetModelRequest
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarkapi.indexing.v1 import indexing_pb2
from landmarks.client import Landmarks
from landmarks.probe import is_serving
from landmarks.rpc.channel import open_channel
from landmarks.security import api_keys
from landmarks.security.api_keys import Permission
from landmarks.security.tls import Tls
from tests.support.certificates import SERVER_NAME, Authority, Files
from tests.support.indexing_rig import MODEL, draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.scrape import scrape
from tests.support.valkey import Valkey, running_valkey

HOSTS = ("127.0.0.1", "127.0.0.2")
PASSWORD = "p@ss/w:rd%"
QDRANT_KEY = "key-of-qdrant"


@dataclass
class Secured:
    """The parts, and what each was given."""

    folder: Path
    authority: Authority
    valkey: Valkey
    search_port: int
    encoder_ports: tuple[int, int]
    metrics_ports: tuple[int, int]
    search_metrics_port: int
    qdrant_port: int
    certificates: dict[str, Files]
    logs: list[Path] = field(default_factory=list)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.search_port}"

    @property
    def encoders(self) -> list[str]:
        return [f"{host}:{port}" for host, port in zip(HOSTS, self.encoder_ports, strict=True)]

    @property
    def person(self) -> Tls:
        """What an outside client has: the authority to trust, and no certificate."""
        return Tls(ca=self.authority.file, server_name=SERVER_NAME)

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    def client(self, key: str = "") -> Landmarks:
        return Landmarks(self.target, api_key=key, tls=self.person)

    def encoded(self) -> Counter[int]:
        """How many photos each encoder was given."""
        lines = {n: self.folder / f"encoded-{n}.log" for n in range(2)}
        return Counter(
            {n: len(file.read_text().split("\n")) - 1 for n, file in lines.items() if file.exists()}
        )

    def settings(self, name: str, **more: str) -> dict[str, str]:
        """The environment of a part that calls others."""
        return {
            **self.certificates[name].settings,
            "secrets_dir": str(self.folder / "secrets"),
            "qdrant_port": str(self.qdrant_port),
            "qdrant_tls": "true",
            "redis_url": self.valkey.url,
            "encoders": json.dumps({MODEL: ["ipv4:" + ",".join(self.encoders)]}),
            "source_roots": json.dumps([str(self.folder)]),
            "chunk_size": "4",
            "sweep_seconds": "1",
            **more,
        }


@contextmanager
def secured_running(folder: Path) -> Iterator[Secured]:
    """Run all parts, with everything of theirs in `folder`."""
    for name in ("secrets", "valkey", "photos"):
        (folder / name).mkdir()
    (folder / "secrets/landmarks_redis_password").write_text(PASSWORD + "\n")
    (folder / "secrets/landmarks_qdrant_api_key").write_text(QDRANT_KEY + "\n")
    for seed in range(48):
        draw_photo(folder / "photos" / f"landmark {seed % 4}" / f"{seed}.png", seed)
    authority = Authority(folder / "ca")
    names = ("encoder-0", "encoder-1", "worker-0", "worker-1", "search", "qdrant")
    with ExitStack() as stack, running_valkey(folder / "valkey", PASSWORD) as valkey:
        made = Secured(
            folder,
            authority,
            valkey,
            free_port(),
            (free_port(), free_port()),
            (free_port(), free_port()),
            free_port(),
            free_port(),
            {name: authority.issue(name) for name in names},
        )

        def start(name: str, *module: str, **environment: str) -> None:
            made.logs.append(folder / f"{name}.log")
            stack.enter_context(running_module(*module, log=made.logs[-1], **environment))

        start(
            "qdrant",
            "landmarks.edge_server",
            **made.certificates["qdrant"].settings,
            qdrant_port=str(made.qdrant_port),
            qdrant_tls="true",
            secrets_dir=str(folder / "secrets"),
            edge_data_dir=str(folder / "qdrant"),
        )
        for number, (host, port) in enumerate(zip(HOSTS, made.encoder_ports, strict=True)):
            log = str(folder / f"encoded-{number}.log")
            start(
                f"encoder-{number}",
                *("tests.support.colour_encoder", str(port), MODEL, "0.1", log),
                **made.certificates[f"encoder-{number}"].settings,
                encoder_host=host,
            )
        for number, host in enumerate(HOSTS):
            name = f"worker-{number}"
            port = str(made.metrics_ports[number])
            more = {"worker_name": name, "metrics_host": host, "metrics_port": port}
            start(name, "indexer_worker", **made.settings(name, **more))
        api_keys.create(made.keys, "nobody", Permission.READ)
        start(
            "search",
            "search_service",
            **made.settings(
                "search",
                search_port=str(made.search_port),
                metrics_port=str(made.search_metrics_port),
                api_keys_file=str(made.keys),
            ),
        )
        own = replace(made.certificates["search"].tls, demands_client_certificates=False)
        eventually(lambda: is_serving(made.target, tls=own), "the search service serves")
        with valkey.client() as client:
            for number in range(2):
                key = f"landmarks:worker:worker-{number}"
                eventually(lambda key=key: bool(client.exists(key)), f"{key} is there")
        yield made


def indexed(secured: Secured, gallery: str, key: str) -> int:
    """Index the photos to the end, and return how many were stored."""
    with secured.client(key) as client:
        job = client.index(str(secured.folder / "photos"), gallery=gallery)
        *_, last = client.watch(job.id)
    assert last.state == indexing_pb2.JOB_STATE_SUCCEEDED, last.error
    return sum(progress.stored for progress in last.progress)


def stored_by(secured: Secured, number: int) -> float:
    """How many photos a worker has stored."""
    labels = frozenset({("model", MODEL), ("outcome", "stored")})
    samples = scrape(secured.metrics_ports[number], HOSTS[number])
    return samples.get(("landmarks_indexer_photos_total", labels), 0.0)


def key_of(secured: Secured, name: str, permission: Permission) -> str:
    return api_keys.create(secured.keys, name, permission)


def model_by(target: str, tls: Tls) -> str:
    """Return the model that an encoder says it serves, or the code of the failure."""
    with open_channel(target, tls) as channel:
        try:
            answer = EncoderServiceStub(channel).GetModel(GetModelRequest(), timeout=20)
        except grpc.RpcError as error:
            return str(error.code().name)  # type: ignore[attr-defined]
    return answer.model.name
