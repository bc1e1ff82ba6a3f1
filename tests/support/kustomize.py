"""Kubernetes objects as kustomize renders them, and what a pod's processes are given."""

from __future__ import annotations

import functools
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

KUBERNETES = Path(__file__).parents[2] / "deploy" / "kubernetes"
Object = dict[str, Any]


@functools.cache
def _rendered(folder: str) -> tuple[Object, ...]:
    command = ["kubectl", "kustomize", KUBERNETES / folder]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return tuple(yaml.safe_load_all(result.stdout))


def objects(folder: str, kind: str = "") -> list[Object]:
    """Return what a base or an overlay is rendered to; its tests need kubectl."""
    return [one for one in _rendered(folder) if not kind or one["kind"] == kind]


def named(folder: str, kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects(folder, kind)}


def pod_of(workload: Object) -> Object:
    pod: Object = workload["spec"]["template"]
    return pod


def container_of(workload: Object) -> Object:
    (container,) = pod_of(workload)["spec"]["containers"]
    return dict(container)


def component_of(workload: Object) -> str:
    """What a deployment of ours is of: search, worker or encoder."""
    return str(pod_of(workload)["metadata"]["labels"]["app.kubernetes.io/component"])


def environment_of(workload: Object, folder: str) -> dict[str, str]:
    """Return what its processes are given, from config maps and by itself."""
    maps = named(folder, "ConfigMap")
    container = container_of(workload)
    given: dict[str, str] = {}
    for source in container["envFrom"]:
        given.update(maps[source["configMapRef"]["name"]]["data"])
    given.update({one["name"]: one["value"] for one in container["env"]})
    return given


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector chooses what has these labels."""
    wanted: Mapping[str, str] = selector.get("matchLabels", {})
    return all(labels.get(name) == value for name, value in wanted.items()) and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", ())
    )


def workloads(folder: str) -> Iterator[Object]:
    yield from objects(folder, "Deployment")
    yield from objects(folder, "StatefulSet")
