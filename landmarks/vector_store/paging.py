"""Reads and writes many points in parts that fit a message, however large their payloads are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from qdrant_client import QdrantClient, models
from qdrant_client.conversions import common_types as types

from landmarks.errors import LandmarksError, TooLargeError
from landmarks.vector_store.errors import is_engine_failure, qdrant_failures
from landmarks.vector_store.filters import EVERYTHING, Filter, to_qdrant
from landmarks.vector_store.queries import uuid_of

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def in_parts(
    items: Sequence[_Item], call: Callable[[Sequence[_Item]], _Result]
) -> Iterator[_Result]:
    """Yield what `call` returns for all items, or where that is too large, for parts of them.

    Raises TooLargeError if one item is too large by itself.
    """
    try:
        result = call(items)
    except TooLargeError:
        if len(items) == 1:
            raise
        half = len(items) // 2
        yield from in_parts(items[:half], call)
        yield from in_parts(items[half:], call)
    else:
        yield result


def scroll_pages(
    client: QdrantClient,
    address: str,
    collection: str,
    size: int,
    *,
    conditions: Filter = EVERYTHING,
    fields: Sequence[str] | None = None,
    with_vectors: bool = False,
    unreadable: Callable[[list[UUID]], list[models.Record]] | None = None,
) -> Iterator[list[models.Record]]:
    """Yield all points that pass a filter in the order of ids, up to `size` at a time.

    Once a page is too large for a message, all later ones have half as many points. `fields` limits
    the part of the payloads that is read; None is all. `unreadable` reads the points of a page that
    Qdrant fails to return, as one of the payloads is damaged.
    """

    def read(payload: bool | list[str]) -> tuple[list[models.Record], types.PointId | None]:
        with qdrant_failures(address):
            return client.scroll(
                collection,
                scroll_filter=to_qdrant(conditions),
                limit=size,
                offset=offset,
                with_payload=payload,
                with_vectors=with_vectors,
            )

    offset: types.PointId | None = None
    while True:
        try:
            page, following = read(True if fields is None else list(fields))
        except TooLargeError:
            if size == 1:
                raise
            size //= 2
            continue
        except LandmarksError as error:
            if unreadable is None or not is_engine_failure(error):
                raise
            page, following = read(False)
            page = unreadable([uuid_of(one.id) for one in page])
        offset = following
        yield page
        if offset is None:
            return
