"""Collections: made once whoever comes first, live by alias, and never of two encoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from qdrant_client import QdrantClient, models

from landmarks.errors import (
    AlreadyExistsError,
    InvalidInputError,
    LineageError,
    NotFoundError,
    UnavailableError,
)
from landmarks.naming import (
    alias_name,
    check_gallery,
    check_model,
    collection_name,
    parse_collection_name,
)
from landmarks.vector_store.client import address_of
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.filters import field_name, field_path
from landmarks.vector_store.settings import VectorStoreSettings

# Filtered or counted by; the rest of a payload is searched without an index.
INDEXED_FIELDS = ("landmark", "source", "path", "sha256", "job_id")

# Words of any alphabet, whatever their case and accents.
_WORDS = models.TextIndexParams(
    type=models.TextIndexType.TEXT,
    tokenizer=models.TokenizerType.WORD,
    lowercase=True,
    ascii_folding=True,
)
_VALUES = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)

# In a collection's metadata: the name of the one that was live before it.
_PREVIOUS = "previous"

# There too: how far verdicts can be trusted, as `landmarks.retrieval.calibration` writes it.
CALIBRATION = "calibration"

# And in an imported collection's: how far the import is, and the id of the export. Stored, it has
# all points and its index; complete, it has been made live as well, if that was asked for.
IMPORT = "import"
IMPORT_BEGUN, IMPORT_STORED, IMPORT_COMPLETE = "writing", "stored", "complete"

# As of a collection that says nothing: an index is built for more kilobytes of vectors than this.
_INDEX_FROM_KB = 20_000

Status = Literal["green", "yellow", "grey", "red"]


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
    """A live collection, what is noted of it, and its fields that are indexed.

    `metadata` is as JSON has it. Words can be searched for in `text_fields`, values counted in
    `value_fields`.
    """

    lineage: Lineage
    metadata: Mapping[str, object] = field(default_factory=dict, compare=False)
    text_fields: frozenset[str] = frozenset()
    value_fields: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CollectionState:
    """A collection as an operator sees it.

    Yellow is being optimised; grey waits to be; red has failed.
    """

    lineage: Lineage
    live: bool
    status: Status
    points: int
    indexed_vectors: int
    calibrated: bool = False


class Collections:
    """Creates, finds and switches collections. For threads; safe among many workers at once."""

    def __init__(self, client: QdrantClient, settings: VectorStoreSettings) -> None:
        self._client = client
        self._settings = settings
        self._address = address_of(settings)

    def live(self, gallery: str, model: str) -> Lineage:
        """Return the live collection of a gallery and model.

        Raises NotFoundError where nothing has been indexed yet.
        """
        found = self.find_live(gallery, model)
        if found is None:
            raise not_indexed(gallery, model)
        return found

    def find_live(self, gallery: str, model: str) -> Lineage | None:
        """Return the live collection of a gallery and model; None where there is none yet."""
        found = self._aliases().get(alias_name(gallery, model))
        return None if found is None else self.lineage(found)

    def to_write(self, gallery: str, model: str, digest: str, dimension: int) -> Lineage:
        """Return the collection that vectors of this encoder are written to.

        It is the live one; where there is none yet, it is created and becomes live.

        Raises LineageError where the live one was made by an encoder of another digest.
        """
        alias = alias_name(gallery, model)
        if alias not in self._aliases():
            created = self.create_beside(gallery, model, digest, dimension)
            # Another worker may have come first. Only where it has not is the alias set, and what
            # it says afterwards is what counts for both.
            if alias not in self._aliases():
                self._point(alias, created.name)
        live = self.live(gallery, model)
        check_lineage(live, digest, dimension)
        self._ensure_indexes(live.name)  # of a worker that died between the two
        return live

    def create_beside(
        self,
        gallery: str,
        model: str,
        digest: str,
        dimension: int,
        *,
        unindexed: bool = False,
        name: str = "",
        noted: Mapping[str, object] | None = None,
    ) -> Lineage:
        """Create the collection of an encoder without making it live; if there is one, return it.

        `unindexed`: its index is not built before `build_index` says so. `name`: another than the
        usual one, for an import beside a collection of the same encoder. `noted`: what is kept in
        the metadata of a new one, beside its lineage.

        Raises LineageError where one of that name has another digest or dimension.
        """
        name = name or collection_name(gallery, model, digest)
        if noted is None:
            self._refuse_half_imported(name)
        metadata = {
            **(noted or {}),
            "gallery": gallery,
            "model": model,
            "digest": digest,
            "dimension": dimension,
        }
        try:
            if not self.exists(name):
                with qdrant_failures(self._address):
                    self._create(name, dimension, metadata, unindexed=unindexed)
        except AlreadyExistsError:
            pass  # by another worker, between the question and the creation
        except InvalidInputError as error:
            if "already exists" not in str(error):
                raise
        lineage = self.lineage(name)
        check_lineage(lineage, digest, dimension)
        self._ensure_indexes(name)
        return lineage

    def _refuse_half_imported(self, name: str) -> None:
        try:
            with qdrant_failures(self._address):
                metadata = self._client.get_collection(name).config.metadata or {}
        except NotFoundError:
            return
        if str(metadata.get(IMPORT, "")).startswith(IMPORT_BEGUN):
            raise UnavailableError(
                f"{name} is being imported, or an import of it broke off; `landmarks import` the"
                " same file again, or drop the collection"
            )

    def build_index(self, name: str) -> None:
        """Let the index of a collection be built from now on, in the background."""
        with qdrant_failures(self._address):
            self._client.update_collection(
                name,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=_INDEX_FROM_KB),
            )

    def note(self, name: str, key: str, text: str) -> None:
        """Keep a text in a collection's metadata, under a key of its own."""
        with qdrant_failures(self._address):
            self._client.update_collection(name, metadata={key: text})

    def status(self, name: str) -> Status:
        """Return whether a collection is settled, as `CollectionState` says it."""
        with qdrant_failures(self._address):
            status: Status = self._client.get_collection(name).status.value
        return status

    def exists(self, name: str) -> bool:
        """Say whether there is a collection, or an alias, of that name."""
        with qdrant_failures(self._address):
            return self._client.collection_exists(name)

    def promote(self, name: str) -> str | None:
        """Make a collection the live one, at once; return the name of the one that was, if any.

        Raises NotFoundError, or InvalidInputError for a collection that is not one of ours.
        """
        lineage = self._own(name)
        self._refuse_half_imported(name)
        alias = alias_name(lineage.gallery, lineage.model)
        before = self._aliases().get(alias)
        if before not in (None, name):
            with qdrant_failures(self._address):
                self._client.update_collection(name, metadata={_PREVIOUS: before})
        self._point(alias, name, replace=before is not None)
        return before

    def roll_back(self, gallery: str, model: str, leaving: str = "") -> str:
        """Make the collection live that was so before the present one; return the latter's name.

        Done twice, it goes back and forth; but not away from another collection than `leaving`, if
        that is given. Raises NotFoundError where there is no earlier one.
        """
        live = self.live(gallery, model).name
        if leaving not in ("", live):
            return leaving
        with qdrant_failures(self._address):
            metadata = self._client.get_collection(live).config.metadata or {}
        previous = metadata.get(_PREVIOUS)
        if not isinstance(previous, str):
            raise NotFoundError(f"{live} is the first live collection of its gallery and model")
        if not self.exists(previous):
            raise NotFoundError(f"{previous}, which was live before {live}, has been dropped")
        self.promote(previous)
        return live

    def drop(self, name: str, *, live_too: bool = False) -> None:
        """Delete a collection and its points.

        Raises NotFoundError; LineageError for a live one, unless `live_too`.
        """
        lineage = self._own(name)
        alias = alias_name(lineage.gallery, lineage.model)
        if self._aliases().get(alias) == name and not live_too:
            raise LineageError(f"{name} is live; promote another collection first")
        with qdrant_failures(self._address):
            self._client.delete_collection(name)

    def _own(self, name: str) -> Lineage:
        """Return the lineage of a collection by its own name; an alias stands for another."""
        if parse_collection_name(name) is None:
            raise InvalidInputError(
                f"{name!r} is not the name of a collection, <gallery>__<model>__<digest>",
                field="name",
            )
        return self.lineage(name)

    def lineage(self, name: str) -> Lineage:
        """Return a collection's lineage, as its metadata tells.

        Raises NotFoundError; InvalidInputError where it has none.
        """
        try:
            with qdrant_failures(self._address):
                info = self._client.get_collection(name)
        except NotFoundError as error:
            raise NotFoundError(
                f"there is no collection {name}; `landmarks collections` lists those that there are"
            ) from error
        return lineage_of(name, info)

    def text_fields(self, name: str) -> frozenset[str]:
        """Return a collection's fields that words can be searched for in."""
        with qdrant_failures(self._address):
            info = self._client.get_collection(name)
        return live_collection_of(name, info).text_fields

    def states(self, gallery: str | None = None) -> list[CollectionState]:
        """Return all collections of ours, or those of one gallery, by name."""
        live = set(self._aliases().values())
        found: list[CollectionState] = []
        with qdrant_failures(self._address):
            names = [one.name for one in self._client.get_collections().collections]
        for name in sorted(names):
            if not is_of_gallery(name, gallery):
                continue
            try:
                with qdrant_failures(self._address):
                    info = self._client.get_collection(name)
            except NotFoundError:
                continue  # dropped meanwhile
            found.append(state_of(name, info, live=name in live))
        return found

    def _aliases(self) -> dict[str, str]:
        with qdrant_failures(self._address):
            return aliases_of(self._client.get_aliases())

    def _point(self, alias: str, name: str, *, replace: bool = False) -> None:
        with qdrant_failures(self._address):
            self._client.update_collection_aliases(alias_change(alias, name, replace=replace))

    def _create(
        self, name: str, dimension: int, metadata: Mapping[str, object], *, unindexed: bool
    ) -> None:
        settings = self._settings
        self._client.create_collection(
            name,
            vectors_config=models.VectorParams(
                size=dimension,
                distance=models.Distance.COSINE,
                on_disk=settings.qdrant_on_disk or None,  # else as the engine has it
            ),
            hnsw_config=models.HnswConfigDiff(
                m=settings.qdrant_hnsw_m, ef_construct=settings.qdrant_hnsw_ef_construct
            ),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(
                    type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                )
            )
            if settings.qdrant_quantized
            else None,
            optimizers_config=models.OptimizersConfigDiff(indexing_threshold=0)
            if unindexed
            else None,
            shard_number=settings.qdrant_shard_number,
            replication_factor=settings.qdrant_replication_factor,
            write_consistency_factor=settings.qdrant_write_consistency_factor,
            metadata=dict(metadata),
        )

    def ensure_indexes(self, name: str, kinds: Mapping[str, str]) -> None:
        """Make the payload indexes that are not there, by the path of their field.

        A kind is Qdrant's name of it. Raises InvalidInputError for one that it does not have.
        """
        for path, kind in kinds.items():
            if kind not in {one.value for one in models.PayloadSchemaType}:
                raise InvalidInputError(f"{kind!r} is not a kind of payload index", field=path)
        with qdrant_failures(self._address):
            schema = self._client.get_collection(name).payload_schema
            present = set(map(field_name, schema))
            for path, kind in kinds.items():
                if field_name(path) not in present:
                    known = models.PayloadSchemaType(kind)
                    kept = self._schemas.get(known, known)
                    self._client.create_payload_index(name, path, field_schema=kept, wait=True)

    def index_words_of(self, name: str, fields: Collection[str]) -> None:
        """Make the indexes of words for those of the fields that the settings name.

        Called when a photo has them: an index of words takes 32 MiB of memory, be it empty.
        """
        texts = [one for one in self._settings.qdrant_text_fields if one in fields]
        if texts:
            self.ensure_indexes(name, dict.fromkeys(map(field_path, texts), "text"))

    def _ensure_indexes(self, name: str) -> None:
        self.ensure_indexes(name, dict.fromkeys(INDEXED_FIELDS, "keyword"))

    @property
    def _schemas(self) -> Mapping[models.PayloadSchemaType, models.PayloadSchemaParams]:
        """How the usual kinds of payload indexes are kept."""
        # In memory, they can take as much as the int8 copies of the vectors.
        on_disk = {"on_disk": True} if self._settings.qdrant_on_disk else {}
        return {
            models.PayloadSchemaType.KEYWORD: _VALUES.model_copy(update=on_disk),
            models.PayloadSchemaType.TEXT: _WORDS.model_copy(update=on_disk),
        }


def not_indexed(gallery: str, model: str) -> NotFoundError:
    """Return the error for a gallery that has no live collection for a model."""
    return NotFoundError(
        f"gallery {gallery!r} has nothing indexed with model {model!r}; index it first"
    )


def check_lineage(found: Lineage, digest: str, dimension: int) -> None:
    """Raise LineageError where a collection is not of the encoder with `digest` and `dimension`."""
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
    """Read a collection's lineage; raises InvalidInputError where it is not one of ours."""
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
    """Read a live collection; raises InvalidInputError where it is not one of ours."""
    texts = {
        field_name(path)
        for path, index in info.payload_schema.items()
        if index.data_type == models.PayloadSchemaType.TEXT
    }
    return LiveCollection(
        lineage_of(name, info),
        info.config.metadata or {},
        frozenset(texts),
        frozenset(map(field_name, info.payload_schema)) - texts,
    )


def state_of(name: str, info: models.CollectionInfo, *, live: bool) -> CollectionState:
    """Read a collection's state."""
    return CollectionState(
        lineage=lineage_of(name, info),
        live=live,
        status=info.status.value,
        points=info.points_count or 0,
        indexed_vectors=info.indexed_vectors_count or 0,
        calibrated=CALIBRATION in (info.config.metadata or {}),
    )


def is_of_gallery(name: str, gallery: str | None) -> bool:
    """Say whether a collection's name is one of ours, and of `gallery` if one is given."""
    parsed = parse_collection_name(name)
    return parsed is not None and gallery in (None, parsed.gallery)


def aliases_of(response: models.CollectionsAliasesResponse) -> dict[str, str]:
    """Return which collection each alias points at."""
    return {one.alias_name: one.collection_name for one in response.aliases}


def alias_change(alias: str, name: str, *, replace: bool) -> list[models.AliasOperations]:
    """Return the operations that point `alias` at a collection in one step."""
    change: list[models.AliasOperations] = []
    if replace:
        change.append(
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
        )
    change.append(
        models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
        )
    )
    return change
