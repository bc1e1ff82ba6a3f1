"""Prometheus's own checker; our rules and panels, and which metrics an expression reads."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from tests.support.dockerfile import ROOT

PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]


def panels() -> list[tuple[str, str]]:
    """Return what every panel asks: where, and the expression."""
    return [
        (f"{file.stem}: {panel['title']}", target["expr"])
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]


def rules() -> list[tuple[str, str]]:
    """Return what every alarm asks: its name, and the expression."""
    return [(rule["alert"], rule["expr"]) for rule in RULES]


@dataclass(frozen=True)
class Selector:
    """A metric that is read, and the labels by which it is chosen."""

    metric: str
    labels: tuple[tuple[str, str, str], ...]  # name, operator, value


def promtool(*arguments: str) -> None:
    """Run promtool in the repository's folder for Prometheus; its tests need the program."""
    result = subprocess.run(["promtool", *arguments], capture_output=True, text=True)
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
