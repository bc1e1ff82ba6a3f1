"""What a client installs is small: its modules work with the dependencies that have no extra."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.utils import canonicalize_name

from tests.landmarks_tools.cli.client_install import installed_without_extras
from tests.support.dockerfile import ROOT

# The client and the command use these; the rest is for services, which install an extra.
CLIENT = (
    "landmarks.client",
    "landmarks.errors",
    "landmarks.files",
    "landmarks.naming",
    "landmarks.observability.logging",
    "landmarks.observability.request_id",
    "landmarks.observability.telemetry",
    "landmarks.photos.box",
    "landmarks.rpc.channel",
    "landmarks.rpc.status",
    "landmarks.security",
    "landmarks.service",
    "landmarks.settings",
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


def imported(*modules: str) -> set[str]:
    """Return all that is imported with some modules, where only the base is installed."""
    base = installed_without_extras()
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


def client_modules() -> list[str]:
    files = sorted(Path(ROOT, "landmarks").rglob("*.py"))
    names = (file.relative_to(ROOT).with_suffix("").parts for file in files)
    modules = [".".join(parts).removesuffix(".__init__") for parts in names]
    return [module for module in modules if module.startswith(CLIENT)]


def test_what_a_client_uses_needs_no_extra() -> None:
    modules = client_modules()
    assert {module for module in CLIENT if module not in modules} == set()
    assert imported(*modules) >= set(modules)


def test_importing_the_package_imports_nothing_else_of_it_and_the_client_nothing_heavy() -> None:
    assert {name for name in imported("landmarks") if name.startswith("landmark")} == {"landmarks"}
    heavy = {"numpy", "opentelemetry", "prometheus_client", "pydantic", "typer"}
    assert not heavy & imported("landmarks.client")
