"""Collections: created once, live by alias, and never with vectors of two encoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from qdrant_client import QdrantClient, models

from landmarks.errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidInputError,
    LandmarksError,
    LineageError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from landmarks.naming import (
    alias_name,
    collection_name,
    parse_alias_name,
    parse_collection_name,
)
from landmarks.vector_store.client import address_of
from landmarks.vector_store.collection_info import (
    IMPORT,
    IMPORT_BEGUN,
    PREVIOUS,
    CollectionState,
    Lineage,
    Status,
    acknowledgements_of,
    aliases_of,
    check_lineage,
    copies_of,
    is_of_gallery,
    lineage_of,
    not_indexed,
    state_of,
    unreadable_state,
)
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.filters import field_path
from landmarks.vector_store.layout import acknowledgements_for, diverges, refused_collection
from landmarks.vector_store.marks import MARK, only_marks
from landmarks.vector_store.payload_indexes import PayloadIndexes
from landmarks.vector_store.settings import VectorStoreSettings

# Qdrant's default: an index is built for more kilobytes of vectors than this.
_INDEX_FROM_KB = 20_000


class Collections:
    """Creates, finds and switches collections. For threads; safe among many workers at once."""

    def __init__(self, client: QdrantClient, settings: VectorStoreSettings) -> None:
        self._client = client
        self._settings = settings
        self._address = address_of(settings)
        self._indexes = PayloadIndexes(client, settings)

    def live(self, gallery: str, model: str) -> Lineage:
        """Return the live collection of a gallery and model.

        Raises NotFoundError if nothing has been indexed yet.
        """
        found = self.find_live(gallery, model)
        if found is None:
            raise not_indexed(gallery, model)
        return found

    def find_live(self, gallery: str, model: str) -> Lineage | None:
        """Return the live collection of a gallery and model; None if there is none yet."""
        found = self._aliases().get(alias_name(gallery, model))
        return None if found is None else self.lineage(found)

    def to_write(self, gallery: str, model: str, digest: str, dimension: int) -> Lineage:
        """Return the collection that vectors of this encoder are written to.

        It is the live one; if there is none yet, it is created and becomes live. What an earlier
        attempt has left half made is finished.

        Raises LineageError if the live one was made by an encoder of another digest;
        ConfigurationError if the copies of a new one could differ for good.
        """
        alias = alias_name(gallery, model)
        if alias not in self._aliases():
            created = self.create_beside(gallery, model, digest, dimension)
            # Another worker may have been first. The alias is set only if it was not, and where it
            # points afterwards counts for both.
            if alias not in self._aliases():
                self._change_aliases(alias_change(alias, created.name, replace=False))
        live = self.find_live(gallery, model)
        if live is None:
            raise UnavailableError(f"{alias} was set, and the node that was asked lags behind")
        check_lineage(live, digest, dimension)
        self._indexes.ensure_usual(live.name)  # of a worker that died between the two
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

        `unindexed`: its index is not built until `build_index`. `name`: another than the usual one,
        for an import beside a collection of the same encoder. `noted`: the metadata of a new one,
        beside its lineage.

        Raises LineageError if one of that name has another digest or dimension; ConfigurationError
        if its copies can differ for good: a new one is then removed.
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
        created = self._created(name, dimension, metadata, unindexed=unindexed)
        try:
            with qdrant_failures(self._address):
                info = self._client.get_collection(name)
        except NotFoundError as error:  # by a node that lags behind, or it was refused elsewhere
            raise UnavailableError(f"{name} was created, and is not there yet: {error}") from error
        lineage = lineage_of(name, info)
        check_lineage(lineage, digest, dimension)
        self._refuse_divergence(name, info, created=created)
        self._indexes.ensure_usual(name)
        return lineage

    def _created(
        self, name: str, dimension: int, metadata: Mapping[str, object], *, unindexed: bool
    ) -> bool:
        """Create a collection, and say whether it was not there before."""
        try:
            if self.exists(name):
                return False
            with qdrant_failures(self._address):
                self._create(name, dimension, metadata, unindexed=unindexed)
        except AlreadyExistsError:
            return False  # created by another worker in between
        except InvalidInputError as error:
            if "already exists" not in str(error):
                raise
            return False
        return True

    def _refuse_divergence(self, name: str, info: models.CollectionInfo, *, created: bool) -> None:
        """Raise ConfigurationError if copies can differ for good.

        The server's defaults count where the settings say nothing, and it makes fewer copies than
        are requested where it has fewer nodes; so what it made is looked at.
        """
        copies, needed = self._copies(name, info), acknowledgements_of(info)
        if not diverges(copies, needed):
            return
        if created:  # else it may have points
            with qdrant_failures(self._address):
                self._client.delete_collection(name)
        raise ConfigurationError(refused_collection(name, copies, needed, removed=created))

    def _copies(self, name: str, info: models.CollectionInfo) -> int:
        """Return how many copies of each shard there are; 1 where it does not matter."""
        if acknowledgements_of(info) < 2:
            return 1
        try:
            with qdrant_failures(self._address):
                return copies_of(self._client.collection_cluster_info(name))
        except UnsupportedError:  # by an engine that has no cluster
            return info.config.params.replication_factor or 1

    def fix_layout(self, name: str) -> int:
        """Let so few copies confirm a write that they cannot differ for good.

        Returns how many that are from now on. Copies that differ already stay so.
        """
        lineage = self.own(name)
        with qdrant_failures(self._address):
            info = self._client.get_collection(lineage.name)
        copies, needed = self._copies(name, info), acknowledgements_of(info)
        if not diverges(copies, needed):
            return needed
        needed = acknowledgements_for(copies)
        with qdrant_failures(self._address):
            self._client.update_collection(
                name,
                collection_params=models.CollectionParamsDiff(write_consistency_factor=needed),
            )
        return needed

    def _refuse_half_imported(self, name: str) -> None:
        try:
            with qdrant_failures(self._address):
                metadata = self._client.get_collection(name).config.metadata or {}
        except NotFoundError:
            return
        if str(metadata.get(IMPORT, "")).startswith(IMPORT_BEGUN):
            raise UnavailableError(
                f"{name} is being imported, or its import was interrupted; `landmarks import`"
                " the same file again, or drop the collection"
            )

    def build_index(self, name: str) -> None:
        """Let the index of a collection be built from now on, in the background."""
        with qdrant_failures(self._address):
            self._client.update_collection(
                name,
                optimizers_config=models.OptimizersConfigDiff(indexing_threshold=_INDEX_FROM_KB),
            )

    def note(self, name: str, key: str, text: str) -> None:
        """Store a text in a collection's metadata, under a key."""
        with qdrant_failures(self._address):
            self._client.update_collection(name, metadata={key: text})

    def status(self, name: str) -> Status:
        """Return the status of a collection; see `CollectionState`."""
        with qdrant_failures(self._address):
            status: Status = self._client.get_collection(name).status.value
        return status

    def exists(self, name: str) -> bool:
        """Return whether a collection, or an alias, of that name exists."""
        with qdrant_failures(self._address):
            return self._client.collection_exists(name)

    def claim_promotion(self, name: str, generation: int) -> None:
        """Announce a promotion; any other that comes before it takes the claim away."""
        lineage = self.own(name)
        claim = _promotion_claim(alias_name(lineage.gallery, lineage.model), str(generation))
        self._change_aliases(alias_change(claim, name, replace=False))

    def promote(self, name: str, claim: int | None = None) -> str | None:
        """Make a collection the live one, at once; return the name of the one that was, if any.

        `claim`: only if this claim is still there, else it raises UnavailableError. Raises
        NotFoundError, or InvalidInputError for a collection that is not one of ours.
        """
        lineage = self.own(name)
        self._refuse_half_imported(name)
        alias = alias_name(lineage.gallery, lineage.model)
        with qdrant_failures(self._address):
            aliases = [one.alias_name for one in self._client.get_aliases().aliases]
        before = self._aliases().get(alias)
        if before not in (None, name):
            with qdrant_failures(self._address):
                self._client.update_collection(name, metadata={PREVIOUS: before})
        claims = [one for one in aliases if one.startswith(_promotion_claim(alias, ""))]
        change: list[models.AliasOperations] = []
        if claim is not None:
            # Renaming an alias that is gone fails, and then nothing after it is done.
            own, used = (
                _promotion_claim(alias, str(claim)),
                _promotion_claim(alias, f"{claim}-used"),
            )
            renaming = models.RenameAlias(old_alias_name=own, new_alias_name=used)
            change.append(models.RenameAliasOperation(rename_alias=renaming))
            claims = [*(one for one in claims if one != own), used]
        change += [
            models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=one))
            for one in claims
        ]
        try:
            self._change_aliases([*change, *alias_change(alias, name, replace=before is not None)])
        except NotFoundError as error:
            if claim is None or not self.exists(name):
                raise
            raise UnavailableError(f"{name} was not promoted: something else was") from error
        return before

    def roll_back(self, gallery: str, model: str, leaving: str = "") -> str:
        """Make the collection live that was live before the present one; return the latter's name.

        Called twice, it goes back and forth; but if `leaving` is given, it leaves no other
        collection. Raises NotFoundError if there is no earlier one.
        """
        live = self.live(gallery, model).name
        if leaving not in ("", live):
            return leaving
        with qdrant_failures(self._address):
            metadata = self._client.get_collection(live).config.metadata or {}
        previous = metadata.get(PREVIOUS)
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
        lineage = self.own(name)
        alias = alias_name(lineage.gallery, lineage.model)
        if self._aliases().get(alias) == name and not live_too:
            raise LineageError(f"{name} is live; promote another collection first")
        with qdrant_failures(self._address):
            self._client.delete_collection(name)

    def own(self, name: str) -> Lineage:
        """Return the lineage of a collection by its own name; an alias stands for another."""
        if parse_collection_name(name) is None:
            raise InvalidInputError(
                f"{name!r} is not the name of a collection, <gallery>__<model>__<digest>",
                field="name",
            )
        return self.lineage(name)

    def lineage(self, name: str) -> Lineage:
        """Return a collection's lineage, from its metadata.

        Raises NotFoundError; InvalidInputError if it has none.
        """
        try:
            with qdrant_failures(self._address):
                info = self._client.get_collection(name)
        except NotFoundError as error:
            raise NotFoundError(
                f"there is no collection {name}; `landmarks collections` lists them all"
            ) from error
        return lineage_of(name, info)

    def kinds(self, name: str) -> Mapping[str, str]:
        """Return the kind of index of each of a collection's indexed fields."""
        return self._indexes.kinds(name)

    def live_of(self, gallery: str) -> list[str]:
        """Return the names of a gallery's live collections."""
        return sorted(
            name
            for alias, name in self._aliases().items()
            if (parsed := parse_alias_name(alias)) is not None and parsed[0] == gallery
        )

    def names(self) -> list[str]:
        """Return the names of all collections of ours."""
        with qdrant_failures(self._address):
            names = [one.name for one in self._client.get_collections().collections]
        return sorted(name for name in names if is_of_gallery(name, None))

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
                    marks = 0
                    if MARK in info.payload_schema:  # without, there are none
                        marks = self._client.count(name, only_marks(), exact=True).count
                copies = self._copies(name, info)
                found.append(state_of(name, info, live=name in live, marks=marks, copies=copies))
            except NotFoundError:
                continue  # dropped meanwhile
            except LandmarksError as error:  # the others are worth listing
                found.append(unreadable_state(name, error, live=name in live))
        return found

    def ensure_indexes(self, name: str, kinds: Mapping[str, str]) -> None:
        """Create payload indexes, and the usual ones; see `PayloadIndexes.ensure`."""
        self._indexes.ensure_usual(name)  # not there if an import was interrupted early
        self._indexes.ensure(name, kinds)

    def index_columns_of(self, name: str, fields: Collection[str]) -> None:
        """Create the indexes of what photos have in them; see `PayloadIndexes.ensure_columns`."""
        self._indexes.ensure_columns(name, fields)

    def index_alike(self, name: str, other: str) -> None:
        """Create the indexes that another collection of the gallery has."""
        kinds = self._indexes.kinds(other)
        self._indexes.ensure(name, {field_path(one): kind for one, kind in kinds.items()})

    def replace_index(self, name: str, column: str, kind: str) -> None:
        """Give a field an index of another kind; see `PayloadIndexes.replace`."""
        self._indexes.replace(name, column, kind)

    def _aliases(self) -> dict[str, str]:
        with qdrant_failures(self._address):
            return aliases_of(self._client.get_aliases())

    def _change_aliases(self, change: Sequence[models.AliasOperations]) -> None:
        with qdrant_failures(self._address):
            self._client.update_collection_aliases(change)

    def _create(
        self, name: str, dimension: int, metadata: Mapping[str, object], *, unindexed: bool
    ) -> None:
        settings = self._settings
        self._client.create_collection(
            name,
            vectors_config=models.VectorParams(
                size=dimension,
                distance=models.Distance.COSINE,
                on_disk=settings.qdrant_on_disk or None,  # else the engine's default
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
            write_consistency_factor=settings.write_consistency,
            metadata=dict(metadata),
        )


def _promotion_claim(alias: str, generation: str) -> str:
    """Return an alias that says that a promotion is about to be made; it is the name of nothing."""
    return f"promoting.{alias}.{generation}"


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
