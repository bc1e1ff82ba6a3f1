"""The catalog of collections and aliases: one file, which is replaced as a whole.

One file makes every change atomic, even one of several collections and aliases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from google.protobuf import json_format
from qdrant_client import grpc as q

from landmarks.errors import ConfigurationError
from landmarks.files import replace_file

_FILE = "catalog.json"
_VERSION = 1


@dataclass(frozen=True)
class CatalogEntry:
    """A collection: its folder's name, which is never used twice, and its parameters."""

    folder: str
    config: q.CreateCollection


@dataclass(frozen=True)
class Catalog:
    """All collections by name, and which collection each alias points at.

    `revision` rises with every change that is saved.
    """

    collections: Mapping[str, CatalogEntry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0

    def resolve(self, name: str) -> str | None:
        """Return the collection that `name`, a collection or an alias, refers to."""
        if name in self.collections:
            return name
        return self.aliases.get(name)

    def with_collection(self, name: str, entry: CatalogEntry) -> Self:
        """Return the catalog with one collection added or replaced."""
        return replace(self, collections={**self.collections, name: entry})

    def without_collection(self, name: str) -> Self:
        """Return the catalog without a collection and its aliases."""
        return replace(
            self,
            collections={key: one for key, one in self.collections.items() if key != name},
            aliases={alias: to for alias, to in self.aliases.items() if to != name},
        )

    def with_aliases(self, aliases: Mapping[str, str]) -> Self:
        """Return the catalog with these aliases and no others."""
        return replace(self, aliases=dict(aliases))

    def revised(self) -> Self:
        """Return the catalog as the next one after this."""
        return replace(self, revision=self.revision + 1)

    @staticmethod
    def path(directory: Path) -> Path:
        """Return the catalog's file in a data directory."""
        return directory / _FILE

    def save(self, directory: Path) -> None:
        """Write the catalog so that a crash leaves the old or the new one, whole."""
        content = {
            "version": _VERSION,
            "collections": {
                name: {"folder": entry.folder, "config": json_format.MessageToDict(entry.config)}
                for name, entry in self.collections.items()
            },
            "aliases": dict(self.aliases),
            "revision": self.revision,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        replace_file(self.path(directory), lambda new: new.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, directory: Path) -> Self | None:
        """Read the catalog; None if there is none.

        Raises ConfigurationError if the file cannot be read as one.
        """
        path = cls.path(directory)
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["version"] != _VERSION:
                raise ConfigurationError(
                    f"{path} was written by another version of the embedded engine"
                )
            return cls(
                collections={
                    name: CatalogEntry(
                        one["folder"], json_format.ParseDict(one["config"], q.CreateCollection())
                    )
                    for name, one in content["collections"].items()
                },
                aliases=dict(content["aliases"]),
                revision=int(content.get("revision", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError, json_format.ParseError) as error:
            raise ConfigurationError(
                f"{path} cannot be read: {error}; put it back from a backup, or move it away and"
                " start again: it is rebuilt from what the shards say of themselves"
            ) from error
