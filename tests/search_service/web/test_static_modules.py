"""The page's scripts: what they import exists, and imports go in one direction."""

from __future__ import annotations

import re
from graphlib import TopologicalSorter
from pathlib import Path

from search_service import web

STATIC = Path(web.__file__).with_name("static")
_IMPORT = re.compile(r"""^import .*?["']\./([^"']+)["'];""", re.MULTILINE | re.DOTALL)
_PRELOAD = re.compile(r'<link rel="modulepreload" href="/static/([^"]+)">')


def imports() -> dict[str, set[str]]:
    return {path.name: set(_IMPORT.findall(path.read_text())) for path in STATIC.glob("*.js")}


def test_every_import_of_a_script_names_a_script_of_the_page() -> None:
    modules = imports()
    missing = {name: some - modules.keys() for name, some in modules.items()}
    assert {name: some for name, some in missing.items() if some} == {}
    assert set().union(*modules.values()) == modules.keys() - {"main.js"}


def test_every_script_but_the_first_is_preloaded() -> None:
    assert set(_PRELOAD.findall((STATIC / "index.html").read_text())) == imports().keys() - {
        "main.js"
    }


def test_scripts_do_not_import_each_other_in_a_circle() -> None:
    tuple(TopologicalSorter(imports()).static_order())  # raises CycleError, which names the circle
