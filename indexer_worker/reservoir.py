"""A random sample of a stream that is too long to keep."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def reservoir_sample(items: Iterable[Item], most: int) -> tuple[list[Item], int]:
    """Return a uniform sample of up to `most` items, and how many items there were.

    The same items give the same sample; if there are no more than `most`, it is all, in order.
    Vitter, "Random Sampling with a Reservoir", 1985, algorithm R: at most `most` are in memory.
    """
    chance = random.Random(0)  # noqa: S311 - not a secret
    kept: list[Item] = []
    count = 0
    for item in items:
        count += 1
        if len(kept) < most:
            kept.append(item)
        elif (place := chance.randrange(count)) < most:
            kept[place] = item
    return kept, count
