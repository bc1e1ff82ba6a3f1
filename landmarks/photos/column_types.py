"""The values that a payload can hold."""

from __future__ import annotations

from typing import TypeAlias

PayloadValue: TypeAlias = (
    str | int | float | bool | dict[str, float] | list[str] | list[int] | list[float] | None
)
