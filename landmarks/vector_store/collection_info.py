"""A collection's lineage, state and metadata, as our own values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qdrant_client import models

from landmarks.errors import InvalidInputError, LandmarksError, LineageError, NotFoundError
from landmarks.naming import check_gallery, check_model, parse_alias_name, parse_collection_name
from landmarks.vector_store.filters import field_name
from landmarks.vector_store.layout import unsafe_layout
from landmarks.vector_store.marks import BOOKKEEPING

# Keys of a collection's metadata, beside its lineage.
# The name of the collection that was live before it.
PREVIOUS = "previous"

# How far verdicts can be trusted, as `landmarks.retrieval.calibration` writes it.
CALIBRATION = "calibration"

# Of an imported collection: how far the import is, and the id of the export. Stored, it has all
# points and its index; complete, it has also been made live, if that was requested.
IMPORT = "import"
IMPORT_BEGUN, IMPORT_STORED, IMPORT_COMPLETE = "writing", "stored", "complete"

Status = Literal["green", "yellow", "grey", "red"]


_COUNTED = frozenset({"keyword", "integer", "bool", "uuid"})


@dataclass(frozen=True)
class Lineage:
    """A collection, and the encoder that its vectors came from. `digest` is the full one."""

    name: str
    gallery: str
    model: str
    digest: str
    dimension: int


@dataclass(frozen=True)
class LiveCollection:
    """A live collection, its metadata (as JSON), and the kind of index of each indexed field.

    Values can be counted in `value_fields`, and points by time in fields of the kind `datetime`.
    """

    lineage: Lineage
    metadata: Mapping[str, object] = field(default_factory=dict, compare=False)
    kinds: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def value_fields(self) -> frozenset[str]:
        """The fields whose values can be counted."""
        return frozenset(one for one, kind in self.kinds.items() if kind in _COUNTED)


@dataclass(frozen=True)
class CollectionState:
    """A collection as an operator sees it.

    Yellow is being optimised; grey waits to be; red has failed, and `problem` says why and, where
    the engine knows it, what to do. `unsafe_layout` says why its copies can differ for good.
    """

    lineage: Lineage
    live: bool
    status: Status
    points: int
    indexed_vectors: int
    calibrated: bool = False
    problem: str = ""
    unsafe_layout: str = ""


def not_indexed(gallery: str, model: str) -> NotFoundError:
    """Return the error for a gallery that has no live collection for a model."""
    return NotFoundError(
        f"gallery {gallery!r} has nothing indexed with model {model!r}; index it first"
    )


def check_lineage(found: Lineage, digest: str, dimension: int) -> None:
    """Raise LineageError if a collection is not of the encoder with `digest` and `dimension`."""
    if found.digest != digest:
        raise LineageError(
            f"the collection {found.name} was made by {found.model!r} with digest"
            f" {found.digest[:8]}, and the encoder now has {digest[:8]}; re-index the gallery to"
            " build a collection for it beside that one"
        )
    if found.dimension != dimension:
        raise LineageError(
            f"the collection {found.name} has {found.dimension} dimensions, the encoder {dimension}"
        )


def lineage_of(name: str, info: models.CollectionInfo) -> Lineage:
    """Read a collection's lineage; raises InvalidInputError if it is not one of ours."""
    metadata: Mapping[str, object] = info.config.metadata or {}
    gallery, model = metadata.get("gallery"), metadata.get("model")
    digest, dimension = metadata.get("digest"), metadata.get("dimension")
    if (
        not isinstance(gallery, str)
        or not isinstance(model, str)
        or not isinstance(digest, str)
        or not isinstance(dimension, int)
    ):
        raise InvalidInputError(
            f"the collection {name} was not made by this program: its metadata says nothing of"
            " gallery, model, digest and dimension"
        )
    return Lineage(name, check_gallery(gallery), check_model(model), digest, dimension)


def live_collection_of(name: str, info: models.CollectionInfo) -> LiveCollection:
    """Read a live collection; raises InvalidInputError if it is not one of ours."""
    return LiveCollection(lineage_of(name, info), info.config.metadata or {}, index_kinds(info))


def index_kinds(info: models.CollectionInfo) -> dict[str, str]:
    """Return Qdrant's name for the kind of each payload index by its field, but for bookkeeping."""
    return {
        field: index.data_type.value
        for path, index in info.payload_schema.items()
        if (field := field_name(path)).partition(".")[0] not in BOOKKEEPING
    }


def state_of(
    name: str, info: models.CollectionInfo, *, live: bool, marks: int = 0, copies: int = 1
) -> CollectionState:
    """Read a collection's state.

    `marks` are how many of its points are no photos, `copies` how many it has of each shard.
    """
    return CollectionState(
        lineage=lineage_of(name, info),
        live=live,
        status=info.status.value,
        points=max(0, (info.points_count or 0) - marks),
        indexed_vectors=info.indexed_vectors_count or 0,
        calibrated=CALIBRATION in (info.config.metadata or {}),
        problem=getattr(info.optimizer_status, "error", ""),
        unsafe_layout=unsafe_layout(name, copies, acknowledgements_of(info)),
    )


def acknowledgements_of(info: models.CollectionInfo) -> int:
    """Return how many copies of a shard must confirm a write."""
    return info.config.params.write_consistency_factor or 1


def copies_of(cluster: models.CollectionClusterInfo) -> int:
    """Return how many copies a collection has of the shard that has fewest.

    They can be fewer than were requested: a cluster keeps one a node at most.
    """
    shards = Counter([one.shard_id for one in cluster.local_shards])
    shards.update(one.shard_id for one in cluster.remote_shards)
    return min(shards.values(), default=0)


def unreadable_state(name: str, error: LandmarksError, *, live: bool) -> CollectionState:
    """Return the state of a collection of ours that cannot be read, from its name."""
    parsed = parse_collection_name(name)
    if parsed is None:
        raise InvalidInputError(f"{name!r} is not the name of a collection of this program")
    lineage = Lineage(name, parsed.gallery, parsed.model, parsed.digest8, 0)
    return CollectionState(lineage, live, "red", 0, 0, problem=str(error))


def is_of_gallery(name: str, gallery: str | None) -> bool:
    """Say whether a collection's name is one of ours, and of `gallery` if one is given."""
    parsed = parse_collection_name(name)
    return parsed is not None and gallery in (None, parsed.gallery)


def aliases_of(response: models.CollectionsAliasesResponse) -> dict[str, str]:
    """Return which collection each alias of ours points at."""
    return {
        one.alias_name: one.collection_name
        for one in response.aliases
        if parse_alias_name(one.alias_name)
    }
