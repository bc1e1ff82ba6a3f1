"""Counts the points of a collection by the values of a field, or by years and months."""

from __future__ import annotations

from datetime import UTC, datetime

from landmarkapi.search.v1 import search_pb2 as pb
from landmarks.errors import InvalidInputError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.collection_info import LiveCollection
from landmarks.vector_store.filters import Filter, TimeRange, fitted
from landmarks.vector_store.queries import FacetCount

_MONTHS = 12
_LAST_YEAR = 9998


async def count_values(
    store: SearchStore,
    collection: LiveCollection,
    field: str,
    period: pb.Period.ValueType,
    conditions: Filter,
    limit: int,
) -> list[FacetCount]:
    """Return at most `limit` values and how many points have each; see the contract.

    Raises InvalidInputError for a field that is not indexed, or not of times where it has to be.
    """
    name = collection.lineage.name
    chosen = fitted(conditions, collection.kinds, name)
    if period == pb.PERIOD_UNSPECIFIED:
        if field not in collection.value_fields:
            raise InvalidInputError(
                f"values of {field!r} cannot be counted: it is {_state(collection, field)}; fields"
                f" whose values can be counted are: {', '.join(sorted(collection.value_fields))}",
                field="field",
            )
        return await store.facet(name, field, chosen, limit)
    if period not in (pb.PERIOD_YEAR, pb.PERIOD_MONTH):
        raise InvalidInputError(f"there is no period {period}", field="period")
    times = sorted(one for one, kind in collection.kinds.items() if kind == "datetime")
    if field not in times:
        raise InvalidInputError(
            f"{field!r} cannot be counted by years or months: it is {_state(collection, field)};"
            f" fields of times are: {', '.join(times) or 'none'}",
            field="field",
        )
    step = _MONTHS if period == pb.PERIOD_YEAR else 1
    return await _Periods(store, name, field, chosen, step).latest(limit)


def _state(collection: LiveCollection, field: str) -> str:
    kind = collection.kinds.get(field)
    return "not indexed" if kind is None else f"indexed as {kind}"


class _Periods:
    """Counts by halves of the time, and goes on only where there are any points."""

    def __init__(
        self, store: SearchStore, collection: str, field: str, conditions: Filter, step: int
    ) -> None:
        self._store = store
        self._collection = collection
        self._field = field
        self._conditions = conditions
        self._step = step  # months

    async def latest(self, limit: int) -> list[FacetCount]:
        found: list[FacetCount] = []
        first, end = _MONTHS // self._step, (_LAST_YEAR + 1) * _MONTHS // self._step
        ranges = [(first, end, await self._count(first, end))]
        while ranges and len(found) < limit:
            first, end, count = ranges.pop()
            if not count:
                continue
            if end - first == 1:
                found.append(FacetCount(self._name(first), count))
                continue
            middle = (first + end) // 2
            earlier = await self._count(first, middle)
            ranges += [(first, middle, earlier), (middle, end, count - earlier)]
        return found

    async def _count(self, first: int, end: int) -> int:
        time = TimeRange(self._field, gte=self._begin(first), lt=self._begin(end))
        others = (self._conditions,) if self._conditions else ()
        return await self._store.count(self._collection, Filter(must=(*others, time)))

    def _begin(self, period: int) -> datetime:
        year, month = divmod(period * self._step, _MONTHS)
        return datetime(year, month + 1, 1, tzinfo=UTC)

    def _name(self, period: int) -> int | str:
        begin = self._begin(period)
        return begin.year if self._step == _MONTHS else f"{begin.year:04}-{begin.month:02}"
