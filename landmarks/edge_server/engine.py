"""The collections of one data directory, each in its own process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import structlog
from qdrant_client import grpc as q

from landmarks.edge_server import schema
from landmarks.edge_server.catalog import Catalog, CatalogEntry
from landmarks.edge_server.description import Description, State, remove_shard
from landmarks.edge_server.fork_server import ForkServer
from landmarks.edge_server.recovery import (
    put_aside_unknown,
    rebuilt_catalog,
    update_descriptions,
)
from landmarks.edge_server.room import Room
from landmarks.edge_server.served_collection import ServedCollection
from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
)
from landmarks.files import sync_directory

_log = structlog.get_logger(__name__)

_FORBIDDEN = frozenset('<>:"/\\|?*\0\x1f')
_MAX_NAME_LENGTH = 255
PARTIAL_SNAPSHOT = ".partial"


class Engine:
    """All collections and aliases. Use it from one event loop."""

    def __init__(self, directory: Path, fork_server: ForkServer) -> None:
        self._directory = directory
        self._fork_server = fork_server
        self._collections: dict[str, ServedCollection] = {}
        self._changing = asyncio.Lock()
        self.room = Room(directory)
        self.files = asyncio.Lock()
        """Held to copy shards' folders, or to replace one by another.

        If the catalog is changed too, its own lock comes second.
        """
        self.catalog = Catalog()

    async def open(self) -> None:
        """Read the catalog, or rebuild it; load every shard; remove what a crash has left behind.

        A shard that cannot be loaded keeps no other from being served. Raises ConfigurationError if
        there is no catalog that can be read or rebuilt.
        """
        self.shards.mkdir(parents=True, exist_ok=True)
        found = Catalog.load(self._directory)
        if found is None:
            found = rebuilt_catalog(self.shards)
            if found.collections:
                self.room.give_up_spare()
                found.save(self._directory)
        self.catalog = found
        await asyncio.to_thread(
            put_aside_unknown, self.shards, self._directory / "orphans", self.catalog
        )
        await remove(self.snapshots / PARTIAL_SNAPSHOT)
        self._describe()
        for name, entry in self.catalog.collections.items():
            self._collections[name] = self._collection(entry)
        await asyncio.gather(*(collection.load() for collection in self._collections.values()))

    async def close(self) -> None:
        """Flush and close every shard."""
        async with asyncio.TaskGroup() as tasks:
            for collection in self._collections.values():
                tasks.create_task(collection.close())
        self._collections.clear()

    def collection(self, name: str) -> ServedCollection:
        """Return a collection by its name or an alias; raises NotFoundError."""
        resolved = self.catalog.resolve(name)
        if resolved is None:
            raise not_found(name)
        return self._collections[resolved]

    async def create(self, config: q.CreateCollection) -> None:
        """Create a collection.

        Raises AlreadyExistsError if its name is taken, InvalidInputError.
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
            self.room.require()
            folder = self.new_shard()
            entry = CatalogEntry(folder.name, config)
            collection = self._collection(entry)
            try:
                await collection.create()
            except BaseException:
                await remove(folder)
                raise
            sync_directory(self.shards)
            self._save(self.catalog.with_collection(name, entry))
            self._collections[name] = collection

    async def delete(self, name: str) -> bool:
        """Delete a collection and its aliases; return whether it existed."""
        async with self._changing:
            if name not in self.catalog.collections:
                return False
            self.room.give_up_spare()
            self._save(self.catalog.without_collection(name))
            collection = self._collections.pop(name)
            await collection.discard()
        await remove(collection.path)
        return True

    async def update(self, name: str, change: q.UpdateCollection) -> None:
        """Merge metadata, and settings of the optimizer, into those of a collection."""
        async with self._changing:
            resolved = self.catalog.resolve(name)
            if resolved is None:
                raise not_found(name)
            entry = self.catalog.collections[resolved]
            config = q.CreateCollection()
            config.CopyFrom(entry.config)
            for key, value in change.metadata.items():
                config.metadata[key].CopyFrom(value)
            config.optimizers_config.MergeFrom(change.optimizers_config)
            schema.check(config)
            self._save(self.catalog.with_collection(resolved, CatalogEntry(entry.folder, config)))
            self._collections[resolved].config = config
            self._collections[resolved].settled = False  # other work may be due now

    async def change_aliases(self, change: Callable[[Catalog], dict[str, str]]) -> None:
        """Replace all aliases by what `change` returns for the catalog, in one step."""
        async with self._changing:
            self._save(self.catalog.with_aliases(change(self.catalog)))

    @asynccontextmanager
    async def at_rest(self) -> AsyncIterator[Catalog]:
        """Yield the catalog; no collection, alias or folder changes until the block ends."""
        async with self.files, self._changing:
            yield self.catalog

    @property
    def snapshots(self) -> Path:
        """The folder for snapshots."""
        return self._directory / "snapshots"

    @property
    def collections(self) -> tuple[ServedCollection, ...]:
        """All collections as they are now."""
        return tuple(self._collections.values())

    @property
    def by_name(self) -> Mapping[str, ServedCollection]:
        """All collections as they are now, by name."""
        return dict(self._collections)

    def new_shard(self) -> Path:
        """Create a folder for a shard; if it is not used in the end, the next start removes it."""
        folder = self.shards / uuid4().hex
        with self.room.failures():
            folder.mkdir()
            Description(State.BUILDING).save(folder)
        return folder

    async def move(self, collection: ServedCollection, folder: Path) -> None:
        """Record that a collection is in another folder from now on.

        Raises NotFoundError if it was deleted meanwhile.
        """
        async with self._changing:
            for name, known in self._collections.items():
                if known is collection:
                    entry = CatalogEntry(folder.name, collection.config)
                    sync_directory(self.shards)
                    self._save(self.catalog.with_collection(name, entry))
                    return
        raise not_found(folder.name)

    @property
    def shards(self) -> Path:
        """The folder with a folder for each shard."""
        return self._directory / "shards"

    def _collection(self, entry: CatalogEntry) -> ServedCollection:
        path = self.shards / entry.folder
        return ServedCollection(path, entry.config, self._fork_server, self.room)

    def _save(self, catalog: Catalog) -> None:
        # Not in a thread: if a caller left in between, disk and memory would disagree.
        catalog = catalog.revised()
        with self.room.failures():
            catalog.save(self._directory)
        before, self.catalog = self.catalog, catalog
        self._describe(before)

    def _describe(self, before: Catalog | None = None) -> None:
        """Have the shards' own descriptions follow the catalog."""
        try:
            update_descriptions(self.shards, self.catalog, before)
        except OSError as error:  # the catalog itself is saved; the next change describes it again
            _log.warning("a shard's description could not be written", reason=str(error))


def not_found(name: str) -> NotFoundError:
    """Return the error for a collection that does not exist, in Qdrant's words."""
    return NotFoundError(f"Not found: Collection `{name}` doesn't exist!")


def _check_name(name: str) -> None:
    if not name or len(name) > _MAX_NAME_LENGTH or _FORBIDDEN.intersection(name):
        raise InvalidInputError(
            f"Wrong input: {name!r} cannot be the name of a collection", field="collection_name"
        )


async def in_thread(do: Callable[[], object]) -> None:
    """Run in a thread, to its end: if the caller leaves, nothing can stop the thread."""
    running = asyncio.ensure_future(asyncio.to_thread(do))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def remove(folder: Path) -> None:
    """Remove a shard's folder and its lock, in a thread: large files take a while."""
    await asyncio.to_thread(remove_shard, folder)
