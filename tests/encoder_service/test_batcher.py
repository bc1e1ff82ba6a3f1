import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from encoder_service.batcher import Batcher, QueueLimits
from landmarks.errors import DeadlineError, OverloadedError, UnavailableError


@dataclass
class FakeClock:
    now: float = 0.0
    timers: list = field(default_factory=list)

    def time(self):
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]):
        timer = FakeTimer(when, callback)
        self.timers.append(timer)
        return timer

    async def advance(self, seconds: float):
        await settle()
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.when <= self.now]:
            self.timers.remove(timer)
            if not timer.cancelled:
                timer.callback()
        await settle()


@dataclass
class FakeTimer:
    when: float
    callback: Callable[[], None]
    cancelled: bool = False

    def cancel(self):
        self.cancelled = True


class Model:
    """Records its batches, and runs them when the test allows it."""

    def __init__(self, held: bool = False):
        self.batches: list[list] = []
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def run(self, items):
        self.batches.append(list(items))
        await self.go.wait()
        if "poison" in items:
            raise ValueError("poisoned")
        return [f"<{item}>" for item in items]


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def batcher_of(model, clock, **limits):
    defaults = {
        "max_batch": 4,
        "max_delay_seconds": 1.0,
        "max_queued_photos": 100,
        "max_queued_bytes": 10_000,
        "max_queued_pixels": 10_000,
    }
    return Batcher(model.run, QueueLimits(**{**defaults, **limits}), clock)


def submitted(admission, *items):
    return [asyncio.ensure_future(admission.submit(item)) for item in items]


async def test_a_full_batch_starts_at_once():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock)
    with batcher.admit(4, 0) as request:
        outcomes = await asyncio.gather(*submitted(request, *"abcd"))
    assert model.batches == [["a", "b", "c", "d"]]
    assert [outcome.result for outcome in outcomes] == ["<a>", "<b>", "<c>", "<d>"]
    assert {outcome.batch for outcome in outcomes} == {0}


async def test_photos_of_several_requests_share_a_batch_that_the_delay_starts():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock)
    with batcher.admit(1, 0) as one, batcher.admit(1, 0) as other:
        waiting = submitted(one, "a")
        await clock.advance(0.5)
        waiting += submitted(other, "b")
        await clock.advance(0.4)
        assert model.batches == []
        await clock.advance(0.2)
        outcomes = await asyncio.gather(*waiting)
    assert model.batches == [["a", "b"]]
    assert [outcome.queue_seconds for outcome in outcomes] == pytest.approx([1.1, 0.6])


async def test_what_arrives_while_a_batch_runs_goes_into_the_next():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_delay_seconds=0.0)
    with batcher.admit(3, 0) as request:
        waiting = submitted(request, "a")
        await settle()
        waiting += submitted(request, "b", "c")
        await settle()
        assert model.batches == [["a"]]
        clock.now = 3.0
        model.go.set()
        outcomes = await asyncio.gather(*waiting)
    assert model.batches == [["a"], ["b", "c"]]
    assert outcomes[1].queue_seconds == 3.0


async def test_a_single_photo_is_not_stuck_behind_a_large_request():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock)
    with batcher.admit(20, 0) as large, batcher.admit(1, 0) as single:
        waiting = submitted(large, *range(20))
        await settle()
        waiting += submitted(single, "single")
        await settle()
        model.go.set()
        await clock.advance(5)
        await asyncio.gather(*waiting)
    assert model.batches[0] == [0, 1, 2, 3]
    assert "single" in model.batches[1]
    assert sum(len(batch) for batch in model.batches) == 21


async def test_requests_take_turns_even_if_there_are_more_than_a_batch_holds():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=2)
    requests = [batcher.admit(3, 0) for _ in range(3)]
    waiting = [
        task
        for name, one in zip("abc", requests, strict=True)
        for task in submitted(one, *name * 3)
    ]
    await settle()
    model.go.set()
    await clock.advance(5)
    await asyncio.gather(*waiting)
    # The first two of "a" were all there was when the first batch started.
    assert model.batches == [["a", "a"], ["a", "b"], ["c", "b"], ["c", "b"], ["c"]]


async def test_a_full_queue_refuses_at_once_with_a_time_to_retry():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_queued_photos=8)
    first = batcher.admit(6, 0)
    with pytest.raises(OverloadedError, match="6 photos") as refused:
        batcher.admit(3, 0)
    assert refused.value.retry_after > 0
    with batcher.admit(2, 0):
        assert batcher.queued_photos == 8
    with first:
        pass
    assert batcher.queued_photos == 0
    with batcher.admit(3, 0):
        pass


async def test_bytes_fill_the_queue_too_but_an_empty_one_admits_any_request():
    batcher = batcher_of(Model(), FakeClock(), max_queued_bytes=100)
    with batcher.admit(1, 500), pytest.raises(OverloadedError, match="500 bytes"):
        batcher.admit(1, 1)
    with batcher.admit(1, 60), batcher.admit(1, 40):
        pass


async def test_declared_pixels_fill_the_queue_and_a_refused_request_frees_its_place():
    batcher = batcher_of(Model(), FakeClock(), max_queued_pixels=100)
    with batcher.admit(1, 0) as large:
        large.declare(500)  # beside nothing else, any may come
        with batcher.admit(1, 0) as other, pytest.raises(OverloadedError, match="500 pixels"):
            other.declare(1)
        assert batcher.queued_photos == 1
    with batcher.admit(1, 0) as one, batcher.admit(1, 0) as other:
        one.declare(60)
        other.declare(40)


async def test_the_time_to_retry_grows_with_the_queue():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_queued_photos=40)
    with batcher.admit(4, 0) as request:
        waiting = submitted(request, *"abcd")
        await settle()
        clock.now += 10
        model.go.set()
        await asyncio.gather(*waiting)
    with batcher.admit(40, 0), pytest.raises(OverloadedError) as refused:
        batcher.admit(1, 0)
    assert refused.value.retry_after == pytest.approx(100)


async def test_work_whose_caller_left_is_dropped_before_inference():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=1)
    stays, leaves, cancels = (batcher.admit(1, 0) for _ in range(3))
    running = submitted(stays, "running")
    await settle()
    gone = submitted(leaves, "gone")
    cancelled = submitted(cancels, "cancelled")
    await settle()
    with leaves:
        pass
    cancelled[0].cancel()
    model.go.set()
    await clock.advance(5)
    await asyncio.gather(*running)
    assert model.batches == [["running"]]
    assert gone[0].cancelled()
    assert cancelled[0].cancelled()


async def test_work_whose_deadline_cannot_be_met_is_dropped_before_inference():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock)
    with batcher.admit(1, 0, timeout_seconds=0.5) as late, batcher.admit(1, 0, 9.0) as fine:
        waiting = [*submitted(late, "late"), *submitted(fine, "fine")]
        await clock.advance(1.0)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(outcomes[0], DeadlineError)
    assert outcomes[1].result == "<fine>"
    assert model.batches == [["fine"]]


async def test_the_typical_time_of_a_batch_counts_towards_the_deadline():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=1)
    with batcher.admit(1, 0) as request:
        waiting = submitted(request, "a")
        await settle()
        clock.now += 10
        model.go.set()
        await asyncio.gather(*waiting)
    with batcher.admit(1, 0, timeout_seconds=9) as hurried, pytest.raises(DeadlineError):
        await hurried.submit("b")
    assert model.batches == [["a"]]


async def test_a_batch_of_expired_photos_only_does_not_stop_the_next():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock, max_batch=2)
    with batcher.admit(2, 0, timeout_seconds=0) as late:
        outcomes = await asyncio.gather(*submitted(late, "a", "b"), return_exceptions=True)
    assert all(isinstance(outcome, DeadlineError) for outcome in outcomes)
    with batcher.admit(2, 0) as fine:
        assert len(await asyncio.gather(*submitted(fine, "c", "d"))) == 2
    assert model.batches == [["c", "d"]]


async def test_a_failed_batch_fails_its_callers_and_the_next_one_runs():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock, max_batch=2)
    with batcher.admit(4, 0) as request:
        failed = await asyncio.gather(
            *submitted(request, "poison", "poison"), return_exceptions=True
        )
        fine = await asyncio.gather(*submitted(request, "b", "c"))
    assert [str(error) for error in failed] == ["poisoned", "poisoned"]
    assert [outcome.result for outcome in fine] == ["<b>", "<c>"]


async def test_only_the_culprit_of_a_failed_batch_fails_and_no_photo_of_another_request():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock, max_batch=3)
    with batcher.admit(2, 0) as request, batcher.admit(1, 0) as other:
        waiting = [*submitted(request, "a", "poison"), *submitted(other, "b")]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert model.batches == [["b", "a", "poison"], ["b"], ["a"], ["poison"]]
    assert [outcomes[0].result, str(outcomes[1]), outcomes[2].result] == ["<a>", "poisoned", "<b>"]
    # Each ran in a batch of its own, whose time is its own.
    assert len({outcomes[0].batch, outcomes[2].batch}) == 2


async def test_photos_of_a_failed_batch_run_again_only_if_their_callers_still_wait():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=4)
    with (
        batcher.admit(2, 0) as request,
        batcher.admit(1, 0) as gone,
        batcher.admit(1, 0, 5) as late,
    ):
        waiting = submitted(request, "a", "poison")
        left, hurried = *submitted(gone, "gone"), *submitted(late, "late")
        await settle()
        left.cancel()
        clock.now = 6.0
        model.go.set()
        outcomes = await asyncio.gather(*waiting, hurried, return_exceptions=True)
    assert model.batches[1:] == [["a"], ["poison"]]
    assert outcomes[0].result == "<a>"
    assert isinstance(outcomes[2], DeadlineError)


async def test_closing_fails_waiting_photos_and_refuses_new_requests():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=1)
    with batcher.admit(2, 0) as request:
        running = submitted(request, "running")
        await settle()
        waiting = submitted(request, "waiting")
        await settle()
        closing = asyncio.ensure_future(batcher.close())
        await settle()
        model.go.set()
        await closing
        assert (await running[0]).result == "<running>"
        with pytest.raises(UnavailableError, match="shutting down"):
            await waiting[0]
        with pytest.raises(UnavailableError):
            batcher.admit(1, 0)


def test_the_batcher_knows_neither_grpc_nor_torch():
    import subprocess
    import sys

    check = "import sys, encoder_service.batcher; print({'grpc', 'torch'} & set(sys.modules))"
    printed = subprocess.run([sys.executable, "-c", check], capture_output=True, check=True)
    assert printed.stdout.strip() == b"set()"


async def test_as_many_batches_run_at_once_as_there_are_workers():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=2, max_delay_seconds=0.0, workers=2)
    with batcher.admit(6, 0) as request:
        waiting = submitted(request, *"abcdef")
        await settle()
        assert model.batches == [["a"], ["b"]]
        model.go.set()
        outcomes = await asyncio.gather(*waiting)
    assert model.batches == [["a"], ["b"], ["c", "d"], ["e", "f"]]
    assert [outcome.result for outcome in outcomes] == [f"<{name}>" for name in "abcdef"]


async def test_without_a_delay_a_photo_never_waits_for_others():
    model, clock = Model(), FakeClock()
    batcher = batcher_of(model, clock, max_delay_seconds=0.0)
    with batcher.admit(1, 0) as request:
        assert (await request.submit("a")).result == "<a>"
    assert clock.timers == []


async def test_a_single_photo_waits_for_running_batches_only_however_many_requests_wait():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=1, max_delay_seconds=0.0)
    large = [batcher.admit(5, 0) for _ in range(8)]
    waiting = [task for one in large for task in submitted(one, *["bulk"] * 5)]
    await settle()
    with batcher.admit(1, 0) as single:
        waiting += submitted(single, "single")
        await settle()
        model.go.set()
        await asyncio.gather(*waiting)
    assert model.batches[:3] == [["bulk"], ["single"], ["bulk"]]


async def test_large_requests_get_one_photo_in_four_while_single_photos_keep_coming():
    model, clock = Model(held=True), FakeClock()
    batcher = batcher_of(model, clock, max_batch=4, max_delay_seconds=0.0)
    singles = [batcher.admit(1, 0) for _ in range(9)]
    with batcher.admit(4, 0) as large:
        waiting = [task for one in singles for task in submitted(one, "single")]
        waiting += submitted(large, *["bulk"] * 4)
        await settle()
        model.go.set()
        await asyncio.gather(*waiting)
    assert model.batches[0] == ["single"]  # it was alone when it came
    assert [batch.count("bulk") for batch in model.batches[1:3]] == [1, 1]


async def test_a_batch_does_not_run_in_the_context_of_one_of_its_callers():
    caller = contextvars.ContextVar("caller", default="nobody")
    seen = []

    async def run(items):
        seen.append(caller.get())
        return items

    batcher = Batcher(run, QueueLimits(4, 0.0, 100, 1000, 1000), FakeClock())
    caller.set("somebody")
    with batcher.admit(1, 0) as request:
        await request.submit("a")
    assert seen == ["nobody"]
