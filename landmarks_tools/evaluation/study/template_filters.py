"""Formats values for the report's pages."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from landmarks_tools.evaluation.study import narrative as words
from landmarks_tools.evaluation.study.figures import readable
from landmarks_tools.evaluation.study.hypothesis import Effect

NOTHING = "–"
_MARKDOWN = re.compile(r"([\\`*_\[\]|#~])")


def decimal(value: float | None, digits: int = 2) -> str:
    """Return a number, or a dash where there is none."""
    return NOTHING if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def percentage(value: float) -> str:
    """Return a share as a percentage, or a dash where there is none."""
    return f"{value:.0%}" if math.isfinite(value) else NOTHING


def p_value(value: float) -> str:
    """Return a p-value; values below 0.001 are only bounded."""
    if not math.isfinite(value):
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def effect(value: Effect) -> str:
    """Return an effect and its interval, or a dash if there was nothing to compare."""
    if not math.isfinite(value.value):
        return NOTHING
    return f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"


def markdown(text: object) -> str:
    """Return text with what Markdown or HTML would read as markup escaped."""
    safe = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", safe)


FILTERS: dict[str, Callable[..., str]] = {
    "decimal": decimal,
    "percentage": percentage,
    "p": p_value,
    "effect": effect,
    "ranged": words.ranged,
    "readable": readable,
    "listed": words.listed,
    "md": markdown,
}
