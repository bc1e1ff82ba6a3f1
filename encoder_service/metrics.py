"""Prometheus metrics of a model; docs/observability.md explains each.

The time that photos wait for their batch is the signal to scale by: a histogram for Prometheus, and
a gauge of recent waits for autoscalers that read one number.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import grpc
from prometheus_client import Counter, Gauge, Histogram

from encoder_service.batcher import BatchedResult
from landmarks.errors import DeadlineError
from landmarks.observability.metrics import CALL_SECONDS
from landmarks.rpc.status import code_of

Result = TypeVar("Result")

RECENT_SECONDS = 30.0
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)

_queued = Gauge(
    "landmarks_encoder_queued_photos",
    "Photos that were accepted and are not answered yet.",
    ["model"],
)
_queue_wait = Histogram(
    "landmarks_encoder_queue_wait_seconds",
    "How long photos waited for their batch, or until they were given up. Scale by this.",
    ["model"],
    buckets=CALL_SECONDS,
)
_recent_wait = Gauge(
    "landmarks_encoder_queue_wait_recent_seconds",
    f"The mean wait of the photos that left the queue in the last {RECENT_SECONDS:g} seconds.",
    ["model"],
)
_batch_size = Histogram(
    "landmarks_encoder_batch_size", "Photos in a batch that ran.", ["model"], buckets=_BATCH_SIZES
)
_decode = Histogram(
    "landmarks_encoder_decode_seconds",
    "How long decoding and preprocessing a photo took.",
    ["model"],
    buckets=CALL_SECONDS,
)
_inference = Histogram(
    "landmarks_encoder_inference_seconds",
    "How long a batch ran.",
    ["model"],
    buckets=CALL_SECONDS,
)
_photos = Counter(
    "landmarks_encoder_photos", "Photos by what became of them, as gRPC codes.", ["model", "code"]
)
_ready = Gauge("landmarks_encoder_model_ready", "1 once the model is loaded and warm.", ["model"])


class RecentMean:
    """The mean of the values of the last seconds; 0 where there are none. Thread-safe."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._observed: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Add a value now."""
        with self._lock:
            self._observed.append((self._clock(), value))
            self._sum += value
            self._forget()

    def mean(self) -> float:
        """Return the mean."""
        with self._lock:
            self._forget()
            return self._sum / len(self._observed) if self._observed else 0.0

    def _forget(self) -> None:
        since = self._clock() - self._seconds
        while self._observed and self._observed[0][0] < since:
            self._sum -= self._observed.popleft()[1]


class ModelMetrics:
    """The metrics of one model. `queued` and `ready` are called at every scrape."""

    def __init__(self, model: str, queued: Callable[[], int], ready: Callable[[], bool]) -> None:
        _queued.labels(model).set_function(queued)
        _ready.labels(model).set_function(ready)
        self._recent = RecentMean(RECENT_SECONDS)
        _recent_wait.labels(model).set_function(self._recent.mean)
        self._queue_wait = _queue_wait.labels(model)
        self._batch_size = _batch_size.labels(model)
        self._decode = _decode.labels(model)
        self._inference = _inference.labels(model)
        self._model = model

    def decoded(self, seconds: float) -> None:
        """Observe how long a photo took to decode and preprocess."""
        self._decode.observe(seconds)

    async def queued(self, submitted: Awaitable[BatchedResult[Result]]) -> BatchedResult[Result]:
        """Wait for a photo's result, and observe how long it was in the queue.

        Photos whose deadline passed or whose caller left count too: without them, an overloaded
        model would show the waits of the few photos that got through.
        """
        started = time.monotonic()
        try:
            outcome = await submitted
        except (DeadlineError, asyncio.CancelledError):
            self._waited(time.monotonic() - started)
            raise
        self._waited(outcome.queue_seconds)
        return outcome

    @contextmanager
    def batch(self, photos: int) -> Iterator[None]:
        """Observe the size and the duration of a batch, whether it succeeds or not."""
        self._batch_size.observe(photos)
        with self._inference.time():
            yield

    def answered(self, error: BaseException | None, photos: int = 1) -> None:
        """Count photos as encoded, or as refused or failed with `error`."""
        code = grpc.StatusCode.OK if error is None else code_of(error)
        _photos.labels(self._model, code.name).inc(photos)

    def close(self) -> None:
        """Set the gauges to 0: the model is gone."""
        for gauge in (_queued, _ready, _recent_wait):
            gauge.labels(self._model).set_function(lambda: 0.0)

    def _waited(self, seconds: float) -> None:
        self._queue_wait.observe(seconds)
        self._recent.observe(seconds)
