"""Some of a stream that is too long to keep."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

Item = TypeVar("Item")


def sampled(items: Iterable[Item], most: int) -> tuple[list[Item], int]:
    """Return up to `most` of the items, each as likely as any other, and how many there were.

    In their own order where they are no more than that; always the same ones of the same items.
    Vitter, "Random Sampling with a Reservoir", 1985, algorithm R: no more than `most` are kept.
    """
    chance = random.Random(0)  # noqa: S311 - no secret
    kept: list[Item] = []
    count = 0
    for item in items:
        count += 1
        if len(kept) < most:
            kept.append(item)
        elif (place := chance.randrange(count)) < most:
            kept[place] = item
    return kept, count
