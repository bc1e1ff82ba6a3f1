"""A load client in a process of its own: `python -m benchmarks.load_generator`.

It reads what to do as JSON from its standard input and writes what came of it to its standard
output. Calls go over one shared channel with the retries of every client of the system; requests
are serialised beforehand, and answers are read and checked.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import Literal

import aiohttp
import grpc

from benchmarks.harness import CannotMeasureError
from benchmarks.load_results import OK, TimedCall, Traffic, Window
from benchmarks.photos import read
from benchmarks.processes import running
from landmarkapi.encoder.v1 import encoder_pb2 as pb
from landmarks.rpc.channel import open_aio_channel

Send = Callable[[int], Awaitable[TimedCall]]
_STOP = b"stop\n"
_SERVICE = "/landmarkapi.encoder.v1.EncoderService"


@dataclass(frozen=True)
class Phase:
    """A period of load: clients that call again once they are answered, or a fixed rate.

    `rate` is calls per second, whether or not they are answered. `warm` seconds come before those
    that count; with clients it is longer where the first answer to each of them takes longer, for
    until then the queue only fills.
    """

    seconds: float
    clients: int = 32
    rate: float = 0.0
    warm: float = 0.0


@dataclass(frozen=True)
class Load:
    """The work of a client. `batch` is photos per call; 1 calls `Encode`, more `BatchEncode`."""

    target: str
    model: str
    photos: Sequence[str]
    phases: Sequence[Phase]
    batch: int = 1
    protocol: Literal["grpc", "http"] = "grpc"
    timeout: float = 120.0


@dataclass(frozen=True)
class Client:
    """A running client."""

    process: Popen[bytes] = field(repr=False)

    def stop(self) -> None:
        """Begin no more calls."""
        if self.process.stdin is not None:
            self.process.stdin.write(_STOP)
            self.process.stdin.flush()

    def result(self) -> Traffic:
        """Wait for the client to be done. Raises CannotMeasureError where it fails."""
        out, _ = self.process.communicate()
        if self.process.returncode:
            raise CannotMeasureError("the load client failed")
        result = json.loads(out)
        return Traffic(
            [TimedCall(*call) for call in result["calls"]],
            [Window(*each) for each in result["windows"]],
            result["busy"],
        )


@contextlib.contextmanager
def client(load: Load, cores: Sequence[int] = ()) -> Iterator[Client]:
    """Run a client until the block ends."""
    command = [sys.executable, "-m", "benchmarks.load_generator"]
    with running(command, cores=cores, talks=True) as process:
        if process.stdin is not None:
            process.stdin.write(json.dumps(asdict(load)).encode() + b"\n")
            process.stdin.flush()
        yield Client(process)


def traffic_of(load: Load, cores: Sequence[int] = ()) -> Traffic:
    """Run a client and return what came of it.

    Raises CannotMeasureError where a call of a client that waits for its answers fails.
    """
    with client(load, cores) as running_client:
        traffic = running_client.result()
        if not any(phase.rate for phase in load.phases):
            for window in traffic.windows:
                codes = traffic.codes(window)
                if set(codes) - {OK}:
                    raise CannotMeasureError(f"calls to {load.target} failed: {dict(codes)}")
        return traffic


async def perform(load: Load, stop: threading.Event | None = None) -> Traffic:
    """Do what `load` says, in this process; once `stop` is set, begin no more calls."""
    stop = stop or threading.Event()
    photos = read([Path(photo) for photo in load.photos])
    calls: list[TimedCall] = []
    windows: list[Window] = []
    numbers = itertools.count()
    busy: list[float] = []
    open_sender = _http if load.protocol == "http" else _grpc
    async with open_sender(load, photos) as send, asyncio.TaskGroup() as outstanding:
        for phase in load.phases:
            began, computed = time.monotonic(), time.process_time()
            if phase.rate:
                window = await _offer(phase, send, numbers, calls, outstanding, stop)
            else:
                window = await _ask_again_and_again(phase, send, numbers, calls, stop)
            windows.append(window)
            busy.append((time.process_time() - computed) / (time.monotonic() - began))
    return Traffic(calls, windows, busy)


async def _ask_again_and_again(
    phase: Phase, send: Send, numbers: Iterator[int], calls: list[TimedCall], stop: threading.Event
) -> Window:
    """Keep all clients asking until every call that began within the window has ended.

    A client that stopped sooner would leave its share of the server to the calls that are still
    out, and these would count as if that were how fast the server is.
    """
    warm = time.monotonic() + phase.warm
    begin: float | None = None
    unanswered = phase.clients
    counting = 0

    def within() -> bool:
        return begin is None or time.monotonic() < begin + phase.seconds

    async def one() -> None:
        nonlocal begin, unanswered, counting
        first = True
        while ((counts := within()) or counting) and not stop.is_set():
            counting += counts
            call = await send(next(numbers))
            counting -= counts
            calls.append(call)
            unanswered -= first
            first = False
            if begin is None and not unanswered:
                begin = max(warm, call.ended)
            if call.code != OK:  # as any well-behaved caller, it backs off when refused
                await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        for _ in range(phase.clients):
            group.create_task(one())
    begin = warm if begin is None else begin
    return Window(begin, begin + phase.seconds)


async def _offer(
    phase: Phase,
    send: Send,
    numbers: Iterator[int],
    calls: list[TimedCall],
    outstanding: asyncio.TaskGroup,
    stop: threading.Event,
) -> Window:
    async def one() -> None:
        calls.append(await send(next(numbers)))

    begin = time.monotonic()
    window = Window(begin + phase.warm, begin + phase.warm + phase.seconds)
    for place in itertools.count():
        due = begin + place / phase.rate
        if due >= window.end or stop.is_set():
            break
        # Late calls are made up for at once: what is offered is offered.
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        outstanding.create_task(one())
    return window


@contextlib.asynccontextmanager
async def _grpc(load: Load, photos: Sequence[bytes]) -> AsyncIterator[Send]:
    requests = _requests(load, photos)
    method = "Encode" if load.batch == 1 else "BatchEncode"
    async with open_aio_channel(load.target) as channel:
        ask = channel.unary_unary(
            f"{_SERVICE}/{method}",
            request_serializer=lambda request: request,
            response_deserializer=_vectors_of_one if load.batch == 1 else _vectors_of_batch,
        )

        async def send(number: int) -> TimedCall:
            began = time.monotonic()
            try:
                vectors = await ask(requests[number % len(requests)], timeout=load.timeout)
            except grpc.aio.AioRpcError as error:
                return TimedCall(began, time.monotonic(), error.code().name, 0)
            code = OK if vectors == load.batch else "INCOMPLETE"
            return TimedCall(began, time.monotonic(), code, vectors)

        yield send


@contextlib.asynccontextmanager
async def _http(load: Load, photos: Sequence[bytes]) -> AsyncIterator[Send]:
    timeout = aiohttp.ClientTimeout(load.timeout)
    url = f"http://{load.target}/encode"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def send(number: int) -> TimedCall:
            began = time.monotonic()
            try:
                async with session.post(url, data=photos[number % len(photos)]) as answer:
                    body = await answer.read()
                    code = OK if answer.status == 200 and body else f"HTTP_{answer.status}"
            except (aiohttp.ClientError, TimeoutError) as error:
                code = type(error).__name__
            return TimedCall(began, time.monotonic(), code, int(code == OK))

        yield send


def _requests(load: Load, photos: Sequence[bytes]) -> list[bytes]:
    if load.batch == 1:
        return [pb.EncodeRequest(model=load.model, photo=p).SerializeToString() for p in photos]
    endless = itertools.cycle(photos)
    batches = [list(itertools.islice(endless, load.batch)) for _ in range(len(photos))]
    return [
        pb.BatchEncodeRequest(model=load.model, photos=batch).SerializeToString()
        for batch in batches
    ]


def _vectors_of_one(answer: bytes) -> int:
    return int(bool(pb.EncodeResponse.FromString(answer).embedding.values))


def _vectors_of_batch(answer: bytes) -> int:
    results = pb.BatchEncodeResponse.FromString(answer).results
    return sum(result.HasField("embedding") for result in results)


def main() -> None:
    """Perform the load given as JSON on standard input."""
    request = json.loads(sys.stdin.readline())
    phases = [Phase(**phase) for phase in request.pop("phases")]
    stop = threading.Event()

    def listen() -> None:
        if sys.stdin.readline() == _STOP.decode():
            stop.set()

    threading.Thread(target=listen, daemon=True).start()
    traffic = asyncio.run(perform(Load(phases=phases, **request), stop))
    calls = [(call.began, call.ended, call.code, call.photos) for call in traffic.calls]
    windows = [(window.begin, window.end) for window in traffic.windows]
    result = {"calls": calls, "windows": windows, "busy": traffic.busy}
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
