"""Prometheus's own checker, and which metrics a PromQL expression reads."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

import promql_parser
import pytest


@dataclass(frozen=True)
class Selector:
    """A metric that is read, and the labels by which it is chosen."""

    metric: str
    labels: tuple[tuple[str, str, str], ...]  # name, operator, value


def promtool(*arguments: str) -> None:
    """Run promtool in the repository's folder for Prometheus; skip where there is none."""
    program = shutil.which("promtool")
    if program is None:
        why = "there is no promtool (Debian: apt-get install prometheus)"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    result = subprocess.run([program, *arguments], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def selectors(expression: str) -> list[Selector]:
    """Return the metrics that an expression reads; raises ValueError where it is not PromQL."""
    found: list[Selector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            matchers = [(one.name, str(one.op), one.value) for one in node.matchers.matchers]
            found.append(Selector(str(node.name), tuple(matchers)))

    promql_parser.walk(_parsed(expression), visit)
    return found


def grouped_by(expression: str) -> set[str]:
    """Return the labels that an expression groups by."""
    found: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            found.update(node.modifier.labels)

    promql_parser.walk(_parsed(expression), visit)
    return found


def _parsed(expression: str) -> promql_parser.Expr:
    return promql_parser.parse(expression.replace("$__rate_interval", "5m"))  # Grafana's variable
