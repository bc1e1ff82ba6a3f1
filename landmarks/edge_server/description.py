"""A shard's own description, in its folder: what it is, and of which collection.

The catalog is a single file. Where it is lost, the descriptions are what it is rebuilt from; and no
folder is deleted unless its description says that it may be.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from google.protobuf import json_format
from qdrant_client import grpc as q

from landmarks.files import replace_file

FILE = "collection.json"
_VERSION = 1


class State(StrEnum):
    """What a shard's folder is for. Only `SERVING` ones hold anything that is nowhere else."""

    BUILDING = "building"
    SERVING = "serving"
    DISCARDED = "discarded"


@dataclass(frozen=True)
class Description:
    """A collection as its shard describes it; without a name until it is in the catalog.

    `revision` is that of the catalog that it was written with: of two, the higher one is newer.
    """

    state: State
    name: str = ""
    config: q.CreateCollection = field(default_factory=q.CreateCollection)
    aliases: tuple[str, ...] = ()
    revision: int = 0

    def save(self, folder: Path) -> None:
        """Write it into a shard's folder; raises OSError."""
        content = {
            "version": _VERSION,
            "state": self.state.value,
            "name": self.name,
            "config": json_format.MessageToDict(self.config),
            "aliases": list(self.aliases),
            "revision": self.revision,
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        replace_file(folder / FILE, lambda new: new.write_text(text, encoding="utf-8"))

    @classmethod
    def load(cls, folder: Path) -> Description | None:
        """Read that of a shard's folder; None if it has none that can be read."""
        try:
            content = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if content["version"] != _VERSION:
                return None
            return cls(
                state=State(content["state"]),
                name=content.get("name", ""),
                config=json_format.ParseDict(content.get("config", {}), q.CreateCollection()),
                aliases=tuple(content.get("aliases", ())),
                revision=int(content.get("revision", 0)),
            )
        except (OSError, ValueError, KeyError, TypeError, json_format.ParseError):
            return None


def remove_shard(folder: Path) -> None:
    """Remove a shard's folder and its lock, the description last: a crash leaves it readable."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != FILE:
                path.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)
