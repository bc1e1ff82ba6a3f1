"""The bare loop: photos to vectors as fast as a process can, with no service around it.

`python -m benchmarks.baseline_loop MODEL` takes one trial per line of its standard input, as
JSON, and answers each with a line. It uses the encoder as the service does, allocator included.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import queue
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from subprocess import Popen

import numpy as np
import structlog

from benchmarks.harness import CannotMeasureError
from benchmarks.load_results import OK, TimedCall, Traffic, Window
from benchmarks.processes import running
from encoder_service.allocator import tune_allocator
from encoder_service.execution_plan import ExecutionPlan
from encoder_service.loader import load_encoder
from encoder_service.models.base import Encoder, FloatArray
from encoder_service.settings import EncoderSettings
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits

_LIMITS = PhotoLimits(1 << 30, 1 << 30)
_READ_AHEAD_BATCHES = 3
_PATIENCE_SECONDS = 0.2


@dataclass(frozen=True)
class LoopRun:
    """How the loop runs, and for how long. Zeros and None leave the plan as the service's is.

    `decoders` threads decode ahead of the workers; with 0 each worker decodes its own photos.
    Without `decode`, photos are decoded beforehand, and only the runtime is measured.
    """

    seconds: float
    warm: float
    runtime: str | None = None
    precision: str | None = None
    workers: int = 0
    threads: int = 0
    batch: int = 0
    decoders: int = 0
    decode: bool = True

    def __str__(self) -> str:
        """Return the trial in words."""
        words = f"{self.workers} × {self.threads} threads, batches of {self.batch}"
        if not self.decode:
            return words
        how = f"{self.decoders} threads decode" if self.decoders else "each decodes its own"
        return f"{words}, {how}"


@dataclass(frozen=True)
class BareLoop:
    """A process of the bare loop."""

    process: Popen[bytes] = field(repr=False)

    def plan(self) -> ExecutionPlan:
        """Return the plan by which the service runs the model."""
        return ExecutionPlan(**json.loads(self._answer("plan")))

    def rate(self, trial: LoopRun) -> float:
        """Return the photos per second of a trial."""
        return float(self._answer(json.dumps(asdict(trial))))

    def _answer(self, question: str) -> bytes:
        """Ask the process. Raises CannotMeasureError where it has ended."""
        if self.process.stdin is None or self.process.stdout is None:
            raise TypeError("the process was started without pipes")
        self.process.stdin.write(question.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise CannotMeasureError("the bare loop ended")
        return answer


@contextlib.contextmanager
def bare_loop(model: str, photos: Sequence[Path]) -> Iterator[BareLoop]:
    """Run a bare loop until the block ends."""
    command = [sys.executable, "-m", "benchmarks.baseline_loop", model]
    with running([*command, *map(str, photos)], talks=True) as process:
        yield BareLoop(process)


class _Run:
    """One trial: workers take batches and note how many photos they have done, and when."""

    def __init__(self, encoder: Encoder, photos: Sequence[bytes], trial: LoopRun) -> None:
        self._encoder = encoder
        self._trial = trial
        self._batch = trial.batch or encoder.plan.batch
        self._workers = trial.workers or encoder.plan.workers
        self._photos = itertools.cycle(photos)
        self._lock = threading.Lock()  # cycles are not for several threads
        ahead = _READ_AHEAD_BATCHES * self._workers * self._batch
        self._decoded: queue.Queue[FloatArray] = queue.Queue(ahead)
        self._ready = [self._decode(photo) for photo in photos] if not trial.decode else []
        self._done: list[tuple[float, float, int]] = []
        self._stop = threading.Event()

    def rate(self) -> float:
        """Run, and return photos per second."""
        targets = [self._work] * self._workers + [self._read_ahead] * self._trial.decoders
        threads = [threading.Thread(target=target) for target in targets]
        for thread in threads:
            thread.start()
        begin = time.monotonic() + self._trial.warm
        window = Window(begin, begin + self._trial.seconds)
        time.sleep(self._trial.warm + self._trial.seconds)
        self._stop.set()
        for thread in threads:
            thread.join()
        calls = [TimedCall(began, ended, OK, photos) for began, ended, photos in self._done]
        return Traffic(calls, [window]).rate()

    def _work(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            batch = self._next_batch()
            if len(batch) == self._batch:
                rows = self._encoder.embed(np.stack(batch))
                self._done.append((began, time.monotonic(), len(rows)))

    def _next_batch(self) -> list[FloatArray]:
        if not self._trial.decode:
            return [self._ready[place % len(self._ready)] for place in range(self._batch)]
        if not self._trial.decoders:
            return [self._decode(self._next_photo()) for _ in range(self._batch)]
        batch: list[FloatArray] = []
        while len(batch) < self._batch and not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                batch.append(self._decoded.get(timeout=_PATIENCE_SECONDS))
        return batch

    def _read_ahead(self) -> None:
        while not self._stop.is_set():
            photo = self._decode(self._next_photo())
            while not self._stop.is_set():
                with contextlib.suppress(queue.Full):
                    self._decoded.put(photo, timeout=_PATIENCE_SECONDS)
                    break

    def _next_photo(self) -> bytes:
        with self._lock:
            return next(self._photos)

    def _decode(self, photo: bytes) -> FloatArray:
        decoded = decode(photo, _LIMITS, self._encoder.spec.decode_size)
        return self._encoder.preprocess(decoded.image)


def _encoder(model: str, trial: LoopRun | None) -> Encoder:
    if trial is None:
        return load_encoder(model, EncoderSettings.load())
    wishes = {
        "runtime": trial.runtime,
        "precision": trial.precision,
        "workers": trial.workers,
        "threads": trial.threads,
        "batch_size": trial.batch,
    }
    return load_encoder(model, EncoderSettings.load(wishes))


def main(model: str, photos: Sequence[bytes]) -> None:
    """Answer one question a line."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for line in sys.stdin:
        if line.strip() == "plan":
            answer = json.dumps(asdict(_encoder(model, None).plan))
        else:
            trial = LoopRun(**json.loads(line))
            answer = str(_Run(_encoder(model, trial), photos, trial).rate())
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    tune_allocator()
    main(sys.argv[1], [Path(photo).read_bytes() for photo in sys.argv[2:]])
