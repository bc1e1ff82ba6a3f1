"""The collections of one data directory, each in a process of its own."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import structlog
from qdrant_client import grpc as q

from landmarks.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from vector_store.edge import schema
from vector_store.edge.catalog import Catalog, Entry, sync_directory
from vector_store.edge.host import ShardHost
from vector_store.edge.zygote import Zygote

_log = structlog.get_logger(__name__)

_FORBIDDEN = frozenset('<>:"/\\|?*\0\x1f')
_MAX_NAME_LENGTH = 255


class Collection:
    """A collection that is being served. Its process is started again when it has died."""

    def __init__(self, path: Path, config: q.CreateCollection, zygote: Zygote) -> None:
        self.path = path
        self.config = config
        self._zygote = zygote
        self._host: ShardHost | None = None
        self._starting = asyncio.Lock()

    async def open(self, method: str) -> None:
        """Have the shard created or loaded ("create", "load") in a new process."""
        host = await ShardHost.start(self._zygote)
        try:
            await host.call(method, bytes(self.path) + b"\0" + self.config.SerializeToString())
        except BaseException:
            await host.discard()
            raise
        self._host = host

    async def call(self, method: str, payload: bytes = b"") -> bytes:
        """Have the shard's process carry out a request; raises what that raises."""
        return await (await self._alive()).call(method, payload)

    async def close(self) -> None:
        """Flush, and end the process."""
        if self._host is not None:
            await self._host.stop()
            self._host = None

    async def discard(self) -> None:
        """End the process without writing what is in memory: the collection is deleted."""
        if self._host is not None:
            await self._host.discard()
            self._host = None

    async def _alive(self) -> ShardHost:
        if self._host is not None and not self._host.gone:
            return self._host
        async with self._starting:
            if self._host is None or self._host.gone:
                _log.warning("a shard process is gone and is started again", path=str(self.path))
                await self.open("load")
        host = self._host
        if host is None:
            raise RuntimeError("the collection is closed")
        return host


class Engine:
    """All collections and aliases. Use it from one event loop."""

    def __init__(self, directory: Path, zygote: Zygote) -> None:
        self._directory = directory
        self._zygote = zygote
        self._collections: dict[str, Collection] = {}
        self._changing = asyncio.Lock()
        self.catalog = Catalog()

    async def open(self) -> None:
        """Read the catalog, load every shard, and remove what a crash has left over."""
        self.catalog = Catalog.load(self._directory)
        kept = {entry.folder for entry in self.catalog.collections.values()}
        self._shards.mkdir(parents=True, exist_ok=True)
        for path in self._shards.iterdir():
            if path.stem not in kept:
                _remove(path)
        for name, entry in self.catalog.collections.items():
            self._collections[name] = self._collection(entry)
        async with asyncio.TaskGroup() as tasks:
            for collection in self._collections.values():
                tasks.create_task(collection.open("load"))

    async def close(self) -> None:
        """Flush and close every shard."""
        async with asyncio.TaskGroup() as tasks:
            for collection in self._collections.values():
                tasks.create_task(collection.close())
        self._collections.clear()

    def collection(self, name: str) -> Collection:
        """Return a collection by its name or an alias; raises NotFoundError."""
        resolved = self.catalog.resolve(name)
        if resolved is None:
            raise not_found(name)
        return self._collections[resolved]

    async def create(self, config: q.CreateCollection) -> None:
        """Create a collection.

        Raises AlreadyExistsError where its name is taken, InvalidInputError.
        """
        name = config.collection_name
        _check_name(name)
        schema.check(config)
        async with self._changing:
            if name in self.catalog.collections:
                raise AlreadyExistsError(f"Wrong input: Collection `{name}` already exists!")
            if name in self.catalog.aliases:
                raise AlreadyExistsError(
                    f"Wrong input: Can't create collection with name {name}. Alias with the same"
                    " name already exists"
                )
            entry = Entry(uuid4().hex, config)
            collection = self._collection(entry)
            await collection.open("create")
            sync_directory(self._shards)
            self._save(self.catalog.with_collection(name, entry))
            self._collections[name] = collection

    async def delete(self, name: str) -> bool:
        """Delete a collection and its aliases; say whether there was one."""
        async with self._changing:
            if name not in self.catalog.collections:
                return False
            self._save(self.catalog.without_collection(name))
            collection = self._collections.pop(name)
            await collection.discard()
        _remove(collection.path)
        return True

    async def update_metadata(self, name: str, change: q.UpdateCollection) -> None:
        """Merge metadata into that of a collection."""
        async with self._changing:
            resolved = self.catalog.resolve(name)
            if resolved is None:
                raise not_found(name)
            entry = self.catalog.collections[resolved]
            config = q.CreateCollection()
            config.CopyFrom(entry.config)
            for key, value in change.metadata.items():
                config.metadata[key].CopyFrom(value)
            self._save(self.catalog.with_collection(resolved, Entry(entry.folder, config)))
            self._collections[resolved].config = config

    async def change_aliases(self, change: Callable[[Catalog], dict[str, str]]) -> None:
        """Replace all aliases by what `change` makes of the catalog, in one step."""
        async with self._changing:
            self._save(self.catalog.with_aliases(change(self.catalog)))

    @property
    def _shards(self) -> Path:
        return self._directory / "shards"

    def _collection(self, entry: Entry) -> Collection:
        return Collection(self._shards / entry.folder, entry.config, self._zygote)

    def _save(self, catalog: Catalog) -> None:
        catalog.save(self._directory)
        self.catalog = catalog


def not_found(name: str) -> NotFoundError:
    """Return the error for a collection that does not exist, in Qdrant's words."""
    return NotFoundError(f"Not found: Collection `{name}` doesn't exist!")


def _check_name(name: str) -> None:
    if not name or len(name) > _MAX_NAME_LENGTH or _FORBIDDEN.intersection(name):
        raise InvalidInputError(
            f"Wrong input: {name!r} cannot be the name of a collection", field="collection_name"
        )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    path.with_suffix(".lock").unlink(missing_ok=True)
