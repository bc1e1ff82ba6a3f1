"""Payload indexes: which fields have one, of which kind, and where they are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from qdrant_client import QdrantClient, models

from landmarks.errors import InvalidInputError
from landmarks.photos.column_types import PHOTO_FIELDS, ColumnType
from landmarks.vector_store.client import address_of
from landmarks.vector_store.collection_info import index_kinds
from landmarks.vector_store.errors import qdrant_failures
from landmarks.vector_store.filters import field_name, field_path
from landmarks.vector_store.marks import GENERATION, MARK, PLANNED
from landmarks.vector_store.settings import VectorStoreSettings

# Fields to filter or count by; the rest of a payload is searched without an index.
INDEXED_FIELDS = ("landmark", "source", "path", "sha256", "job_id")
# Two copies of a collection are compared by generation, and marks are counted.
_USUAL = {**dict.fromkeys(INDEXED_FIELDS, "keyword"), GENERATION: "integer", MARK: "keyword"}

# Words of any alphabet, whatever their case and accents.
_WORDS = models.TextIndexParams(
    type=models.TextIndexType.TEXT,
    tokenizer=models.TokenizerType.WORD,
    lowercase=True,
    ascii_folding=True,
)
_VALUES = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD)


# The index of a field by the type of its column; without one, it is compared value by value.
COLUMN_INDEXES = {
    ColumnType.INTEGER: "integer",
    ColumnType.NUMBER: "float",
    ColumnType.DATE: "datetime",
    ColumnType.BOOLEAN: "bool",
    ColumnType.PLACE: "geo",
    ColumnType.LIST: "keyword",
}
# Of the fields that are read from photos themselves; the words of a caption are in the settings.
PHOTO_INDEXES = {
    name: "keyword" if kind is ColumnType.TEXT else COLUMN_INDEXES[kind]
    for name, kind in PHOTO_FIELDS.items()
    if name != "caption"
}


class PayloadIndexes:
    """Creates the payload indexes that a collection lacks. For threads."""

    def __init__(self, client: QdrantClient, settings: VectorStoreSettings) -> None:
        self._client = client
        self._settings = settings
        self._address = address_of(settings)

    def ensure_usual(self, name: str) -> None:
        """Create the indexes that every collection has."""
        self.ensure(name, _USUAL)

    def ensure_words(self, name: str, fields: Collection[str]) -> None:
        """Create text indexes for those of the fields that the settings name.

        Called when a photo has them, as even an empty text index takes 32 MiB of memory. A
        reservation's have one too: without, words are compared otherwise, and a deletion by words
        would pass over photos that are being written.
        """
        paths = [field_path(one) for one in self._settings.qdrant_text_fields if one in fields]
        if paths:
            planned = [f"{PLANNED}.{path}" for path in paths]
            self.ensure(name, dict.fromkeys([*paths, *planned], "text"))

    def ensure_columns(self, name: str, fields: Collection[str]) -> None:
        """Create the indexes of those fields that photos have themselves, and of words."""
        kinds = {one: PHOTO_INDEXES[one] for one in fields if one in PHOTO_INDEXES}
        if kinds:
            self.ensure(name, kinds)
        self.ensure_words(name, fields)

    def replace(self, name: str, column: str, kind: str) -> None:
        """Give a field an index of another kind; "" is none."""
        path = field_path(column)
        with qdrant_failures(self._address):
            self._client.delete_payload_index(name, path, wait=True)
        if kind:
            self.ensure(name, {path: kind})

    def kinds(self, name: str) -> Mapping[str, str]:
        """Return the kind of each index by its field."""
        with qdrant_failures(self._address):
            return index_kinds(self._client.get_collection(name))

    def ensure(self, name: str, kinds: Mapping[str, str]) -> None:
        """Create the payload indexes that do not exist, by the path of their field.

        A kind is Qdrant's name for it. Raises InvalidInputError for one that it does not have.
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

    @property
    def _schemas(self) -> Mapping[models.PayloadSchemaType, models.PayloadSchemaParams]:
        """The parameters of the usual kinds of payload indexes."""
        # In memory, they can take as much as the int8 copies of the vectors.
        on_disk = {"on_disk": True} if self._settings.qdrant_on_disk else {}
        return {
            models.PayloadSchemaType.KEYWORD: _VALUES.model_copy(update=on_disk),
            models.PayloadSchemaType.TEXT: _WORDS.model_copy(update=on_disk),
        }
