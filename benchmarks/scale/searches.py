"""What is asked of a large collection, and how well and how fast it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.points import point_id
from benchmarks.scale.collection import SOURCES, source_of
from benchmarks.scale.ground_truth import Numbers, nearest, recall
from benchmarks.scale.query_load import found_by, waits
from benchmarks.scale.synthetic_vectors import SyntheticCollection
from landmarks.vector_store.filters import Equals, Filter
from landmarks.vector_store.queries import Query
from landmarks.vector_store.settings import VectorStoreSettings

LIMIT = 10
LEAST_RECALL = 0.98
_OVERSAMPLING = 2.0
# How many candidates the index keeps: as many as it was built with, and more where recall asks it.
_CANDIDATES = (None, 192, 256, 384, 512, 768, 1024)


@dataclass(frozen=True)
class Searches:
    """Queries and what they should find: `plain`, and `filtered` by a source, a tenth of all.

    `own_landmark` are filtered by the landmark that they show. `tuning` says how many of the first
    are only for choosing `hnsw_ef`.
    """

    plain: Sequence[Query]
    filtered: Sequence[Query]
    own_landmark: Sequence[Query]
    truth: Numbers
    filtered_truth: Numbers
    tuning: int

    @classmethod
    def of(cls, drawing: SyntheticCollection, count: int, tuning: int) -> Searches:
        """Make `count` queries of a collection, and `tuning` others before them."""
        rows = drawing.queries(count + tuning)
        wanted = np.arange(len(rows)) % SOURCES

        def of_source(numbers: Numbers) -> np.ndarray:
            own = np.array([source_of(drawing.landmark_of(int(one))) for one in numbers])
            return np.asarray(wanted[:, None] == own[None, :])

        truth = nearest(rows, drawing.batches(), LIMIT)
        plain = [Query(row, limit=LIMIT) for row in rows]
        return cls(
            plain,
            [_filtered(q, "source", str(one)) for q, one in zip(plain, wanted, strict=True)],
            [
                _filtered(q, "landmark", str(drawing.landmark_of(int(own[0]))))
                for q, own in zip(plain, truth, strict=True)
            ],
            truth,
            nearest(rows, drawing.batches(), LIMIT, of_source),
            tuning,
        )

    def tuned(self, settings: VectorStoreSettings, name: str, *, quantized: bool) -> Searches:
        """Return the searches with the fewest candidates that find enough, or the most there are.

        Quantized vectors are rescored, in any case.
        """
        for candidates in _CANDIDATES:
            found = self._with(candidates, _OVERSAMPLING if quantized else None)
            first = slice(0, self.tuning)
            if found._recall(settings, name, found.plain, self.truth, first) >= LEAST_RECALL:
                break
        return found

    @property
    def candidates(self) -> str:
        """How many candidates the index keeps, in words."""
        one = self.plain[0]
        words = f"hnsw_ef {one.hnsw_ef or 'as built (128)'}"
        return f"{words}, int8 rescored {one.oversampling:g}-fold" if one.oversampling else words

    @property
    def asked(self) -> int:
        """How many queries there are that were not tuned with."""
        return len(self.plain) - self.tuning

    def recall(self, settings: VectorStoreSettings, name: str) -> float:
        """Return recall@10 of the queries that were not tuned with; each is asked once."""
        return self._recall(settings, name, self.plain, self.truth, slice(self.tuning, None))

    def filtered_recall(self, settings: VectorStoreSettings, name: str) -> float:
        """Return recall@10 of the same queries, filtered by a source."""
        rest = slice(self.tuning, None)
        return self._recall(settings, name, self.filtered, self.filtered_truth, rest)

    def waits(
        self,
        settings: VectorStoreSettings,
        name: str,
        queries: Sequence[Query],
        clients: int,
        seconds: float,
        warm_seconds: float,
    ) -> list[float]:
        """Return how many seconds answers take; see `asking.waits`."""
        return waits(settings, name, queries[self.tuning :], clients, seconds, warm_seconds)

    def _with(self, candidates: int | None, oversampling: float | None) -> Searches:
        def tuned(queries: Sequence[Query]) -> list[Query]:
            return [replace(q, hnsw_ef=candidates, oversampling=oversampling) for q in queries]

        return replace(
            self,
            plain=tuned(self.plain),
            filtered=tuned(self.filtered),
            own_landmark=tuned(self.own_landmark),
        )

    @staticmethod
    def _recall(
        settings: VectorStoreSettings,
        name: str,
        queries: Sequence[Query],
        truth: Numbers,
        which: slice,
    ) -> float:
        wanted = [frozenset(point_id(int(n)) for n in own if n >= 0) for own in truth[which]]
        return recall(found_by(settings, name, queries[which]), wanted)


def _filtered(query: Query, key: str, value: str) -> Query:
    return replace(query, filter=Filter(must=(Equals(key, value),)))
