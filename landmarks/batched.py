"""Cutting streams into batches, as `itertools.batched` does from Python 3.12 on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `size` items at a time, as they come; the last batch may be smaller."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch
