"""Monitors recall: the share of an exact search's hits that the approximate index finds too.

A small share of searches is repeated exactly, after the answer has been sent.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from prometheus_client import Counter, Gauge

from landmarks.errors import LandmarksError
from landmarks.vector_store.async_store import SearchStore
from landmarks.vector_store.queries import Hit, Query

_log = structlog.get_logger(__name__)

# Recall@10: the hits that people look at.
DEPTH = 10
# How many of a collection's last queries count.
_WINDOW = 500
# Scores of the two searches may differ in the last digits.
_TOLERANCE = 1e-5
_TIMEOUT_SECONDS = 30.0

_recall = Gauge(
    "landmarks_search_recall",
    "Recall@10 of the approximate index, over the last queries that were also run exactly.",
    ["collection"],
)
_queries = Counter(
    "landmarks_search_recall_queries", "Queries that were also run exactly.", ["collection"]
)


@dataclass(frozen=True)
class Recall:
    """The share of the exact hits that were found, 0 to 1, and the number of queries."""

    share: float
    queries: int


def recall_of(found: Sequence[Hit], exact: Sequence[Hit]) -> float:
    """Return the share of `exact` that was found; any hit of equal score counts."""
    if not exact:
        return 1.0
    least = exact[-1].score - _TOLERANCE
    return min(1.0, sum(hit.score >= least for hit in found[: len(exact)]) / len(exact))


class RecallMonitor:
    """Repeats some queries exactly, one at a time; others that arrive meanwhile are not sampled."""

    def __init__(self, store: SearchStore, share: float) -> None:
        """Repeat this share of the queries, 0 to 1."""
        self._store = store
        self._share = share
        self._found: dict[str, deque[float]] = {}
        self._measuring: asyncio.Task[None] | None = None

    def of(self, collection: str) -> Recall | None:
        """Return a collection's recall; None until a query has been repeated."""
        found = self._found.get(collection)
        return Recall(sum(found) / len(found), len(found)) if found else None

    def sample(self, collection: str, query: Query, hits: Sequence[Hit]) -> None:
        """Perhaps repeat a query that was answered with `hits`. Returns at once."""
        busy = self._measuring is not None and not self._measuring.done()
        if query.exact or busy or random.random() >= self._share:  # noqa: S311 - not a secret
            return
        self._measuring = asyncio.create_task(self._measure(collection, query, hits[:DEPTH]))

    async def close(self) -> None:
        """Stop the query that is running."""
        if self._measuring is not None:
            self._measuring.cancel()
            await asyncio.wait([self._measuring])

    async def _measure(self, collection: str, query: Query, hits: Sequence[Hit]) -> None:
        again = replace(
            query, exact=True, limit=DEPTH, hnsw_ef=None, oversampling=None, with_payload=False
        )
        try:
            [exact] = await self._store.query(collection, [again], timeout_seconds=_TIMEOUT_SECONDS)
        except LandmarksError as error:
            _log.warning("recall not measured", reason=str(error))
            return
        found = self._found.setdefault(collection, deque(maxlen=_WINDOW))
        found.append(recall_of(hits, exact))
        _recall.labels(collection).set(sum(found) / len(found))
        _queries.labels(collection).inc()
