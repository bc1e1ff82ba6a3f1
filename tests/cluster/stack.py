"""The product over a cluster: Valkey, an encoder, a worker and the search service, all real."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from landmarkapi.indexing.v1 import indexing_pb2 as pb
from landmarks.client import Landmarks
from landmarks.probe import is_serving
from landmarks.vector_store.points import point_id
from landmarks.vector_store.settings import VectorStoreSettings
from landmarks.vector_store.store import VectorStore
from tests.support.colour_encoder import digest_of, embedded
from tests.support.indexing_rig import MODEL, Rig, draw_photo
from tests.support.ports import free_port
from tests.support.processes import eventually, running_module
from tests.support.qdrant_cluster.clusters import NODES, Cluster
from tests.support.valkey import running_valkey

SOURCE = "photos"
# A job is long enough for something to happen in the middle.
_BATCH_SECONDS = 0.15


@dataclass
class ClusterRig(Rig):
    """Parts that know all nodes, and the layout of new collections."""

    cluster: Cluster = field(kw_only=True)
    copies: int = field(kw_only=True)
    acknowledgements: int = field(kw_only=True)

    @property
    def store_settings(self) -> VectorStoreSettings:
        return VectorStoreSettings.load(self._of_the_store())

    def settings(self, **more: str) -> dict[str, str]:
        return {**super().settings(), **self._of_the_store(), **more}

    def _of_the_store(self) -> dict[str, str]:
        return {
            "qdrant_host": ",".join(self.cluster.addresses),
            "qdrant_shard_number": "3",
            "qdrant_replication_factor": str(self.copies),
            "qdrant_write_consistency_factor": str(self.acknowledgements),
        }


@dataclass(frozen=True)
class Gallery:
    """A gallery of this test alone, and the folder of its photos."""

    name: str
    folder: Path

    @property
    def paths(self) -> set[str]:
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*.png")}

    def photo(self) -> bytes:
        return (self.folder / min(self.paths)).read_bytes()

    def ids(self, paths: Sequence[str]) -> list[str]:
        return [str(point_id(self.name, SOURCE, path)) for path in paths]


@dataclass(frozen=True)
class Stack:
    """The running parts, and what a user does with them."""

    rig: ClusterRig
    target: str
    client: Landmarks

    @property
    def cluster(self) -> Cluster:
        return self.rig.cluster

    def gallery(self, photos: int) -> Gallery:
        """Draw the photos of a new gallery, each another one."""
        name = f"g{uuid.uuid4().hex[:8]}"
        folder = self.rig.photos / name
        for number in range(photos):
            draw_photo(folder / f"{number:03d}.png", number)
        return Gallery(name, folder)

    def index(self, gallery: Gallery) -> pb.IndexJob:
        """Start a job and return it at once."""
        return self.client.index(
            str(gallery.folder), gallery=gallery.name, models=[MODEL], source_name=SOURCE
        )

    def await_part(self, job: pb.IndexJob, part: float) -> None:
        """Wait until a job has stored this part of its photos."""

        def done() -> bool:
            now = self.client.job(job.id)
            assert now.state != pb.JOB_STATE_FAILED, now.error
            progress = now.progress
            return any(one.listed and one.stored >= part * one.listed for one in progress)

        eventually(done, f"{part:.0%} of the photos are stored")

    def ended(self, job: pb.IndexJob) -> pb.IndexJob:
        """Wait for the end of a job, which must have succeeded."""
        *_, last = self.client.watch(job.id)
        assert last.state == pb.JOB_STATE_SUCCEEDED, last.error
        return last

    def paths_at(self, node: int, gallery: Gallery) -> set[str]:
        """Return the photos of a gallery that are there when a node is asked."""
        return set(self.contents_at(node, gallery))

    def contents_at(self, node: int, gallery: Gallery) -> dict[str, str]:
        """Return the sha256 of each photo by its path, as a node has them.

        Of each the vector is checked: it must be that photo's.
        """
        with closing(self.store_at(node)) as store:
            live = store.collections.live(gallery.name, MODEL)
            revision = 1 if live.digest == digest_of(1) else 2
            points = list(store.points.scan(live.name, fields=["path", "sha256"]))
            vectors = store.points.vectors(live.name, [one.id for one in points])
            assert store.points.count(live.name) == len(points) == len(vectors)
        found = {str(one.payload["path"]): str(one.payload["sha256"]) for one in points}
        assert len(found) == len(points)
        for one in points:
            data = (gallery.folder / str(one.payload["path"])).read_bytes()
            if sha256(data).hexdigest() == one.payload["sha256"]:
                expected = embedded(data, revision).embedding.values
                assert float(np.dot(vectors[one.id], expected)) > 0.9999
        return found

    def store_at(self, node: int) -> VectorStore:
        """Return a connection to one node alone; close it when done."""
        return VectorStore(VectorStoreSettings(qdrant_port=self.cluster.port(node)))

    def check(self, gallery: Gallery, expected: set[str], nodes: tuple[int, ...] = NODES) -> None:
        """Check that each node has every photo that is expected, and no other."""
        self.cluster.await_whole(nodes)
        for node in nodes:
            found = self.paths_at(node, gallery)
            missing, returned = sorted(expected - found), sorted(found - expected)
            assert not missing, f"node {node} lacks {missing}"
            assert not returned, f"node {node} has again {returned}"


@contextmanager
def stack_running(
    folder: Path, cluster: Cluster, copies: int, acknowledgements: int
) -> Iterator[Stack]:
    """Run the product over a cluster with its data in `folder`."""
    for name in ("valkey", "photos"):
        (folder / name).mkdir()
    with running_valkey(folder / "valkey") as valkey:
        rig = ClusterRig(
            folder,
            valkey,
            folder / "photos",
            has_newer=True,
            cluster=cluster,
            copies=copies,
            acknowledgements=acknowledgements,
        )
        port = free_port()
        service = rig.settings(search_port=str(port), sweep_seconds="0.5")
        with (
            rig.encoder(seconds=_BATCH_SECONDS),
            rig.worker(sweep_seconds="0.5"),
            running_module("search_service", **service),
        ):
            target = f"127.0.0.1:{port}"
            eventually(lambda: is_serving(target), "the search service serves")
            with Landmarks(target) as client:
                yield Stack(rig, target, client)
