"""Batches across requests: admission, fairness, deadlines. Knows neither gRPC nor torch.

A request is admitted as a whole, before any work is done for it; its photos are submitted when they
are ready, and wait for their batch. A batch starts when a worker is idle and the batch is full or
its oldest photo has waited long enough. Requests of one photo go first, because somebody waits for
the answer. Larger requests take turns, a photo each, and get one photo in four while single photos
keep coming. The photos of a failed batch run again one by one, so that only the culprit fails.
Nothing polls: decisions are made when a photo arrives, a batch ends or a timer fires. Everything
runs on one event loop.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import structlog

from landmarks.errors import DeadlineError, OverloadedError, UnavailableError

_log = structlog.get_logger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

# Weight of the latest batch in the moving average of batch times.
_NEWEST_SHARE = 0.2
_LEAST_RETRY_SECONDS = 0.1
# Single photos that may go first in a row before a larger request gets a photo.
_SINGLES_IN_A_ROW = 3


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""


class Clock(Protocol):
    """The part of an event loop that the batcher uses; tests replace it."""

    def time(self) -> float:
        """Return the time in seconds, from any origin."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` at `when`."""


@dataclass(frozen=True)
class QueueLimits:
    """The size of a batch, how long its oldest photo waits for others, and the caps of the queue.

    The caps count photos, encoded bytes and declared pixels of admitted requests that have not
    ended. `workers` is the number of batches that may run at once.
    """

    max_batch: int
    max_delay_seconds: float
    max_queued_photos: int
    max_queued_bytes: int
    max_queued_pixels: int
    workers: int = 1


@dataclass(frozen=True)
class BatchedResult(Generic[Result]):
    """A result, how long its item waited in the queue, and the number of its batch."""

    result: Result
    queue_seconds: float
    batch: int


@dataclass
class _Entry(Generic[Item, Result]):
    item: Item
    deadline: float | None
    since: float
    outcome: asyncio.Future[BatchedResult[Result]]


@dataclass(eq=False)
class Admission(Generic[Item, Result]):
    """A request's place in the queue. A context manager: on exit, what still waits is dropped."""

    batcher: Batcher[Item, Result]
    photos: int
    size_bytes: int
    deadline: float | None
    pixels: int = 0
    waiting: deque[_Entry[Item, Result]] = field(default_factory=deque)
    alone: bool = field(init=False)

    def __post_init__(self) -> None:
        self.alone = self.photos == 1

    def declare(self, pixels: int) -> None:
        """Count the pixels that the request's photos declare, before any is decoded.

        Raises OverloadedError at once where they do not fit into the queue.
        """
        self.batcher.add_pixels(self, pixels)

    async def submit(self, item: Item) -> BatchedResult[Result]:
        """Wait for the result of `item`.

        Raises DeadlineError where the deadline cannot be met, UnavailableError where the batcher
        is closed, and whatever running this item alone raises.
        """
        return await self.batcher.enqueue(self, item)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.batcher.leave(self)


class Batcher(Generic[Item, Result]):
    """Runs items in batches, several at once. Create it while its event loop runs."""

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        limits: QueueLimits,
        clock: Clock | None = None,
    ) -> None:
        self._run = run
        self._limits = limits
        self._clock: Clock = clock or asyncio.get_running_loop()
        # Requests with waiting items, of one photo and of several; the first is next.
        self._singles: deque[Admission[Item, Result]] = deque()
        self._turns: deque[Admission[Item, Result]] = deque()
        self._singles_in_a_row = 0
        self._photos = 0
        self._bytes = 0
        self._pixels = 0
        self._timer: Timer | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._batches = 0
        self._typical_seconds = 0.0
        self._closed = False

    @property
    def queued_photos(self) -> int:
        """Photos of admitted requests that have not ended."""
        return self._photos

    def admit(
        self, photos: int, size_bytes: int, timeout_seconds: float | None = None
    ) -> Admission[Item, Result]:
        """Admit a request of `photos` photos and `size_bytes` bytes in total.

        An empty queue admits a request of any size, which would otherwise never be served.

        Raises OverloadedError at once where the queue is full, UnavailableError when closed.
        """
        if self._closed:
            raise UnavailableError("the model is shutting down")
        limits = self._limits
        if self._photos and (
            self._photos + photos > limits.max_queued_photos
            or self._bytes + size_bytes > limits.max_queued_bytes
        ):
            raise self._full()
        self._photos += photos
        self._bytes += size_bytes
        deadline = None if timeout_seconds is None else self._clock.time() + timeout_seconds
        return Admission(self, photos, size_bytes, deadline)

    def add_pixels(self, request: Admission[Item, Result], pixels: int) -> None:
        """Count the pixels of an admitted request; see `Admission.declare`."""
        if self._pixels and self._pixels + pixels > self._limits.max_queued_pixels:
            raise self._full()
        self._pixels += pixels
        request.pixels += pixels

    def _full(self) -> OverloadedError:
        limits = self._limits
        batches = self._photos / limits.max_batch / limits.workers
        return OverloadedError(
            f"the queue is full: {self._photos} photos of {self._bytes:,} bytes and"
            f" {self._pixels:,} pixels wait, and at most {limits.max_queued_photos} of"
            f" {limits.max_queued_bytes:,} and {limits.max_queued_pixels:,} may; try again later",
            retry_after=max(_LEAST_RETRY_SECONDS, batches * self._typical_seconds),
        )

    async def enqueue(self, request: Admission[Item, Result], item: Item) -> BatchedResult[Result]:
        """Wait for the result of one item of an admitted request; see `Admission.submit`."""
        if self._closed:
            raise UnavailableError("the model is shutting down")
        outcome: asyncio.Future[BatchedResult[Result]] = asyncio.get_running_loop().create_future()
        if not request.waiting:
            self._lane(request).append(request)
        request.waiting.append(_Entry(item, request.deadline, self._clock.time(), outcome))
        self._start_or_wait()
        return await outcome

    def leave(self, request: Admission[Item, Result]) -> None:
        """End a request: drop its waiting items and free its place."""
        self._photos -= request.photos
        self._bytes -= request.size_bytes
        self._pixels -= request.pixels
        request.photos = request.size_bytes = request.pixels = 0
        if request.waiting:
            for entry in request.waiting:
                entry.outcome.cancel()
            request.waiting.clear()
            self._lane(request).remove(request)

    async def close(self) -> None:
        """Fail waiting items, refuse new requests, and wait for the running batches."""
        self._closed = True
        if self._timer:
            self._timer.cancel()
        for lane in (self._singles, self._turns):
            while lane:
                request = lane.popleft()
                while request.waiting:
                    _fail(request.waiting.popleft(), UnavailableError("the model is shutting down"))
        if self._running:
            await asyncio.wait(self._running)

    def _lane(self, request: Admission[Item, Result]) -> deque[Admission[Item, Result]]:
        return self._singles if request.alone else self._turns

    def _start_or_wait(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while len(self._running) < self._limits.workers and (self._singles or self._turns):
            if (due := self._due()) is not None:
                self._timer = self._clock.call_at(due, self._start_or_wait)
                return
            if batch := self._take():
                # In an empty context: a batch belongs to several callers.
                task = asyncio.get_running_loop().create_task(
                    self._attempt(batch), context=contextvars.Context()
                )
                self._running.add(task)
                task.add_done_callback(self._ended)

    def _due(self) -> float | None:
        """Return when a batch that is not full starts; None where the next one starts now."""
        if self._limits.max_delay_seconds == 0:
            return None
        waiting = [request.waiting for lane in (self._singles, self._turns) for request in lane]
        due = min(entries[0].since for entries in waiting) + self._limits.max_delay_seconds
        full = sum(map(len, waiting)) >= self._limits.max_batch
        return None if full or due <= self._clock.time() else due

    def _take(self) -> list[_Entry[Item, Result]]:
        """Take the next batch, a photo of each request in turn; drop photos not worth running."""
        taken: list[_Entry[Item, Result]] = []
        end = self._clock.time() + self._typical_seconds
        while (lane := self._next_lane()) and len(taken) < self._limits.max_batch:
            request = lane.popleft()
            entry = request.waiting.popleft()
            if request.waiting:
                lane.append(request)
            if _is_worth_running(entry, end):
                taken.append(entry)
                self._singles_in_a_row = self._singles_in_a_row + 1 if request.alone else 0
        return taken

    def _next_lane(self) -> deque[Admission[Item, Result]]:
        singles_used_turns = self._singles_in_a_row >= _SINGLES_IN_A_ROW
        if self._singles and not (self._turns and singles_used_turns):
            return self._singles
        return self._turns

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not self._closed:
            self._start_or_wait()

    async def _attempt(self, batch: Sequence[_Entry[Item, Result]]) -> None:
        number, self._batches = self._batches, self._batches + 1
        started = self._clock.time()
        try:
            results = await self._run([entry.item for entry in batch])
            seconds = self._clock.time() - started
            for entry, result in zip(batch, results, strict=True):
                if not entry.outcome.done():
                    waited = started - entry.since
                    entry.outcome.set_result(BatchedResult(result, waited, number))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets it
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            _log.warning(
                "a batch failed; its photos run one by one", photos=len(batch), exc_info=error
            )
        else:
            share = _NEWEST_SHARE if number else 1.0
            self._typical_seconds += share * (seconds - self._typical_seconds)
            return
        # Outside the handler, where the error would keep the failed batch in memory.
        for entry in batch:
            if _is_worth_running(entry, self._clock.time() + self._typical_seconds):
                await self._attempt([entry])


def _is_worth_running(entry: _Entry[Item, Result], end: float) -> bool:
    """Return whether a caller still waits for a result at `end`; fail an entry that is too late."""
    if entry.outcome.done():  # its caller left
        return False
    if entry.deadline is not None and entry.deadline <= end:
        _fail(entry, DeadlineError("the deadline could not be met: too many photos wait"))
        return False
    return True


def _fail(entry: _Entry[Item, Result], error: Exception) -> None:
    if not entry.outcome.done():
        entry.outcome.set_exception(error)
