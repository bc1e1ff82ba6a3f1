"""What is done at start with shards that the catalog does not know, or without a catalog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import structlog

from landmarks.edge_server.catalog import Catalog, CatalogEntry
from landmarks.edge_server.description import Description, State, remove_shard
from landmarks.errors import ConfigurationError

_log = structlog.get_logger(__name__)

_NAMED = 5


def rebuilt_catalog(shards: Path) -> Catalog:
    """Return the catalog that the shards describe; an empty one if there are none.

    Of two shards of one collection, and of two collections with one alias, the newer description
    counts. Raises ConfigurationError if a shard does not say what it is: an earlier version wrote
    no descriptions.
    """
    found: list[tuple[Path, Description]] = []
    unknown: list[Path] = []
    for folder in _folders(shards):
        description = Description.load(folder)
        if description is None:
            unknown.append(folder)
        elif description.state is State.SERVING:
            found.append((folder, description))
    if unknown:
        raise ConfigurationError(
            f"{Catalog.path(shards.parent)} is missing, and these shards do not say which"
            f" collection they are: {_named(unknown)}; nothing was changed. Put the file back from"
            " a backup, or restore the whole backup; or move these folders elsewhere and start"
            " again: the catalog of all others is rebuilt, and what was moved is indexed again from"
            " its sources"
        )
    found.sort(key=lambda one: one[1].revision)
    catalog = Catalog(
        collections={one.name: CatalogEntry(folder.name, one.config) for folder, one in found},
        aliases={alias: one.name for _, one in found for alias in one.aliases},
        revision=max((one.revision for _, one in found), default=0),
    )
    if found:
        _log.warning(
            "the catalog was missing; it was rebuilt from what the shards say of themselves",
            collections=sorted(catalog.collections),
            aliases=sorted(catalog.aliases),
        )
    return catalog


def put_aside_unknown(shards: Path, orphans: Path, catalog: Catalog) -> None:
    """Remove what a crash has left half-built or half-deleted; move other unknown shards aside."""
    kept = {entry.folder for entry in catalog.collections.values()}
    for folder in _folders(shards):
        if folder.name in kept:
            continue
        description = Description.load(folder)
        if description is not None and description.state is not State.SERVING:
            remove_shard(folder)
            continue
        orphans.mkdir(exist_ok=True)
        target = orphans / folder.name
        while target.exists():
            target = target.with_name(f"{target.name}-again")
        folder.rename(target)
        folder.with_suffix(".lock").unlink(missing_ok=True)
        _log.warning(
            "a shard that the catalog does not know was moved aside; delete it if nothing is"
            " missing; to have it back, stop the server, move it back, and move catalog.json away",
            path=str(target),
            collection=description.name if description else "it does not say",
        )


def update_descriptions(shards: Path, catalog: Catalog, before: Catalog | None = None) -> None:
    """Have the shards describe themselves as the catalog does, and those of `before` as discarded.

    A folder that neither of the two knows is left as it is. Raises OSError.
    """
    wanted = {
        entry.folder: Description(
            State.SERVING,
            name,
            entry.config,
            tuple(sorted(alias for alias, to in catalog.aliases.items() if to == name)),
            catalog.revision,
        )
        for name, entry in catalog.collections.items()
    }
    for name, description in wanted.items():
        if not (shards / name).is_dir():
            continue  # it is damaged, and reported as such when it is loaded
        present = Description.load(shards / name)
        if present is None or replace(present, revision=catalog.revision) != description:
            description.save(shards / name)
    for entry in before.collections.values() if before else ():
        if entry.folder not in wanted and (present := Description.load(shards / entry.folder)):
            replace(present, state=State.DISCARDED).save(shards / entry.folder)


def _folders(shards: Path) -> Iterator[Path]:
    yield from sorted(path for path in shards.iterdir() if path.is_dir())


def _named(folders: list[Path]) -> str:
    more = f" and {len(folders) - _NAMED} more" if len(folders) > _NAMED else ""
    return ", ".join(map(str, folders[:_NAMED])) + more
