"""The types of a gallery's fields: a manifest's columns are stored as the gallery has them.

The indexes of a gallery's collections remember the types. Texts have no index, so those that other
sources have stored are looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from indexer_worker.context import WorkerContext
from landmarks.errors import InvalidInputError
from landmarks.photos.column_types import ColumnType, described, value_of
from landmarks.photos.columns import Columns
from landmarks.vector_store.filters import Empty, Equals, Filter, field_path
from landmarks.vector_store.payload_indexes import COLUMN_INDEXES
from landmarks.vector_store.points import RESERVED_COLUMNS

_SAMPLE = 1000  # points, in the order of their ids, which is none
_TEXTS = (ColumnType.TEXT, ColumnType.LIST)
_TYPES = {kind: one for one, kind in COLUMN_INDEXES.items()}


def settle_columns(
    context: WorkerContext, gallery: str, source: str, columns: Columns, *, write: bool
) -> None:
    """Fit the columns' types to those of the gallery, and with `write`, create their indexes.

    Whole numbers become numbers where a field has fractions, and any type a text where other
    sources of the gallery have such texts. A type that is stated replaces the one that was
    inferred before. Raises InvalidInputError for values that do not fit the field's type.
    """
    collections = context.collections
    live = {name: collections.kinds(name) for name in collections.live_of(gallery)}
    settled: dict[str, ColumnType] = {}
    notes: list[str] = []
    for field, kind in sorted(columns.types.items()):
        stored = _stored(field)
        there = {kinds[stored] for kinds in live.values() if stored in kinds}
        settled[field] = kind
        if columns.is_stated(field):
            continue
        if there & {"keyword", "text"} or (
            not there and _others_have_texts(context, live, source, stored, kind)
        ):
            if kind not in _TEXTS:
                settled[field] = ColumnType.TEXT
                notes.append(
                    f"column {field!r} of the manifest is stored as text, as the gallery has texts"
                    f" in it; to store it as {described(kind)}, write {field}:{kind.value} in the"
                    " first line"
                )
        elif there:
            settled[field] = _common(columns, field, {_TYPES[one] for one in there})
    columns.types.update(settled)
    columns.notes += notes
    if write:
        wanted = {_stored(one): COLUMN_INDEXES.get(kind, "") for one, kind in settled.items()}
        for name, kinds in live.items():
            _index(context, name, kinds, wanted)


def _stored(field: str) -> str:
    """Return the name under which `payload_of` stores a column."""
    return f"manifest_{field}" if field in RESERVED_COLUMNS else field


def _common(columns: Columns, field: str, known: set[ColumnType]) -> ColumnType:
    kind = columns.types[field]
    if known == {kind}:
        return kind
    if known | {kind} <= {ColumnType.INTEGER, ColumnType.NUMBER}:
        return ColumnType.NUMBER
    first = min(known)
    why = columns.why_not(field, first)
    raise InvalidInputError(
        f"column {field!r} of the manifest does not fit the gallery, where each value is"
        f" {described(first)}{': ' + why if why else ''}; correct the cells, rename the column, or"
        f" write {field}:{kind.value} in the first line to store it as {described(kind)} from now"
        " on",
        field="source",
    )


def _index(
    context: WorkerContext, name: str, have: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    collections = context.collections
    new = {}
    for field, kind in wanted.items():
        before = have.get(field, "")
        if kind and not before:
            new[field_path(field)] = kind
        elif before in _TYPES and before not in ("keyword", kind):
            collections.replace_index(name, field, kind)
    if new:
        collections.ensure_indexes(name, new)


def _others_have_texts(
    context: WorkerContext, live: Mapping[str, object], source: str, field: str, kind: ColumnType
) -> bool:
    """Say whether other sources have texts in a field that are not of this type."""
    if kind in _TEXTS:
        return False
    others = Filter(must_not=(Empty(field), Equals("source", source)))
    return any(
        isinstance(value := point.payload.get(field), str) and not _is(kind, value)
        for name in live
        for point in islice(context.points.scan(name, others, [field_path(field)]), _SAMPLE)
    )


def _is(kind: ColumnType, text: str) -> bool:
    try:
        value_of(kind, text)
    except ValueError:
        return False
    return True
