"""What a client installs is small: the ground works with the dependencies that have no extra."""

import json
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.dockerfile import ROOT

PROGRAM = "landmark-reverse-image-search"
# These rooms are for services, which install an extra.
NEED_AN_EXTRA = (
    "landmarks.edge_server",
    "landmarks.job_store",
    "landmarks.photos.address_list",
    "landmarks.photos.colours",
    "landmarks.photos.decode",
    "landmarks.photos.entry",
    "landmarks.photos.folder",
    "landmarks.photos.manifest",
    "landmarks.photos.source_roots",
    "landmarks.photos.sources",
    "landmarks.retrieval",
    "landmarks.vector_store",
)

IMPORT = """
import importlib, json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ImportError(f"{name} is not installed without an extra")

blocked, modules = json.load(sys.stdin)
sys.meta_path.insert(0, Blocker())
for name in modules:
    importlib.import_module(name)
print(json.dumps(sorted(sys.modules)))
"""


def base_distributions() -> set[str]:
    """Return what `pip install` of the program without extras would install."""
    found: set[str] = set()
    left = [PROGRAM]
    while left:
        name = canonicalize_name(left.pop())
        if name in found:
            continue
        found.add(name)
        requirements = map(Requirement, distribution(name).requires or ())
        left += [
            each.name
            for each in requirements
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return found


def imported(*modules: str) -> set[str]:
    """Return all that is imported with some modules, where only the base is installed."""
    base = base_distributions()
    blocked = [
        module
        for module, owners in packages_distributions().items()
        if not base & set(map(canonicalize_name, owners))
    ]
    assert {"redis", "celery", "qdrant_client", "PIL", "aiohttp", "fsspec", "torch"} <= set(blocked)
    result = subprocess.run(
        [sys.executable, "-c", IMPORT],
        input=json.dumps([blocked, modules]),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout))


def ground() -> list[str]:
    files = sorted(Path(ROOT, "landmarks").rglob("*.py"))
    names = (file.relative_to(ROOT).with_suffix("").parts for file in files)
    modules = [".".join(parts).removesuffix(".__init__") for parts in names]
    return [module for module in modules if not module.startswith(NEED_AN_EXTRA)]


def test_the_ground_needs_no_extra() -> None:
    modules = ground()
    assert set(modules) >= {"landmarks.client", "landmarks.errors", "landmarks.settings"}
    assert imported(*modules) >= set(modules)


def test_importing_the_package_imports_nothing_else_of_it_and_the_client_nothing_heavy() -> None:
    assert {name for name in imported("landmarks") if name.startswith("landmark")} == {"landmarks"}
    heavy = {"numpy", "opentelemetry", "prometheus_client", "pydantic", "typer"}
    assert not heavy & imported("landmarks.client")
