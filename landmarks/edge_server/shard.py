"""A collection's shard: Qdrant's requests, carried out by Edge."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as edge
from qdrant_client import grpc as q

from landmarks.edge_server import schema
from landmarks.edge_server.point_count import PointCount
from landmarks.edge_server.shard_reads import ShardReads
from landmarks.edge_server.shard_writes import ShardWrites
from landmarks.edge_server.supported_fields import refuse_unsupported
from landmarks.errors import InvalidInputError, LandmarksError, NotFoundError


class Shard:
    """Carries out the requests of the Points service on one shard. Not thread-safe."""

    def __init__(self, shard: edge.EdgeShard, dimension: int, count: PointCount) -> None:
        self._shard = shard
        self._count = count
        self._writes = ShardWrites(shard, dimension, count)
        self._handlers = {
            **self._writes.handlers(),
            **ShardReads(shard, dimension).handlers(),
        }

    @classmethod
    def create(cls, path: Path, config: q.CreateCollection) -> Shard:
        """Create a shard in an empty folder."""
        with _edge_failures():
            shard = edge.EdgeShard.create(str(path), schema.edge_config(config))
        return cls(shard, schema.dimension(config), PointCount.create(path))

    @classmethod
    def load(cls, path: Path, config: q.CreateCollection) -> Shard:
        """Open a shard that no other process has open, and replay its write-ahead log.

        Raises what Edge raises for files that it cannot read.
        """
        with _edge_failures(), _panics_raised():
            shard = edge.EdgeShard.load(str(path), schema.edge_config(config))
            points = shard.info().points_count
        return cls(shard, schema.dimension(config), PointCount.load(path, points))

    def handle(self, method: str, request: bytes) -> bytes:
        """Carry out one request of the Points service and return the answer's bytes.

        Raises UnsupportedError for a field that is not honoured, InvalidInputError and
        NotFoundError as Qdrant has them.
        """
        started = time.perf_counter()
        kind, handler = self._handlers[method]
        message = kind.FromString(request)
        refuse_unsupported(message)
        with _edge_failures():
            answer = handler(message)
        if "time" in answer.DESCRIPTOR.fields_by_name:
            setattr(answer, "time", time.perf_counter() - started)  # noqa: B010 - of any answer
        return answer.SerializeToString()

    def info(self) -> q.CollectionInfo:
        """Return what the shard knows of its collection: counts, segments and payload indexes."""
        with _edge_failures():
            info = self._shard.info()
        answer = q.CollectionInfo(
            segments_count=info.segments_count,
            points_count=info.points_count,
            indexed_vectors_count=info.indexed_vectors_count,
        )
        for name, index in info.payload_schema.items():
            answer.payload_schema[name].CopyFrom(schema.index_info(index))
        answer.optimizer_status.error = self.problem
        return answer

    @property
    def problem(self) -> str:
        """What is wrong with the shard, and what to do; empty if nothing is known."""
        if not self._count.missing:
            return ""
        with _edge_failures():
            there = self._shard.info().points_count
        return (
            f"{self._count.missing} of {there + self._count.missing} points that were stored are"
            " missing, as if a file of the shard had been cut off; index the sources again, which"
            " encodes only what is missing, or restore a backup"
        )

    @property
    def unflushed(self) -> bool:
        """Whether there are writes that only the write-ahead log holds."""
        return self._writes.unflushed

    def flush(self) -> None:
        """Write everything to the segments, so that the write-ahead log need not be replayed."""
        with _edge_failures():
            self._shard.flush()
        self._writes.unflushed = False

    def optimize(self) -> None:
        """Build the indexes that are due: a second per two thousand vectors, holding the GIL."""
        with _edge_failures():
            self._shard.optimize()

    def close(self) -> None:
        """Flush, and close the files."""
        self.flush()
        with _edge_failures():
            self._shard.close()
        self._count.close()


@contextmanager
def _panics_raised() -> Iterator[None]:
    """Turn a panic of Edge, which is no Exception, into one: damaged files cause it.

    Only around a load: a shard that is open cannot be used after one.
    """
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RuntimeError(str(error)) from error


@contextmanager
def _edge_failures() -> Iterator[None]:
    """Turn Edge's complaints about a request into our errors; its failures are raised as they are.

    Edge raises plain exceptions; only their text differs.
    """
    try:
        yield
    except LandmarksError:
        raise
    except Exception as error:
        text = str(error)
        if text.startswith("No point with id"):
            raise NotFoundError(f"Not found: {text} found") from error
        complaint = text.startswith(_COMPLAINTS) or isinstance(error, (ValueError, TypeError))
        if complaint:
            raise InvalidInputError(f"Wrong input: {text}") from error
        raise


_COMPLAINTS = ("Vector dimension error", "No appropriate index for faceting")
