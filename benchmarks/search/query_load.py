"""Asking again and again: how long one caller waits, and how much many callers get through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

# Asks once; each caller has one of its own. The number says which of the queries it is.
Ask = Callable[[int], object]


def median_seconds(ask: Ask, seconds: float, warm_seconds: float) -> float:
    """Return the median of how long an answer takes, one after another."""
    found: list[float] = []
    begun = time.monotonic()
    number = 0
    while (now := time.monotonic()) < begun + warm_seconds + seconds or not found:
        ask(number)
        number += 1
        if now >= begun + warm_seconds:
            found.append(time.monotonic() - now)
    return median(found)


def answers_per_second(asks: Sequence[Ask], seconds: float, warm_seconds: float) -> float:
    """Return how many answers a second all callers together get; each is a thread."""
    begin = time.monotonic() + warm_seconds
    stop = threading.Event()

    def work(place: int) -> int:
        done, number = 0, 1000 * place
        while not stop.is_set():
            asks[place](number)
            number += 1
            done += time.monotonic() >= begin and not stop.is_set()
        return done

    with ThreadPoolExecutor(len(asks)) as pool:
        working = [pool.submit(work, place) for place in range(len(asks))]
        time.sleep(warm_seconds + seconds)
        stop.set()
        return sum(one.result() for one in working) / seconds
