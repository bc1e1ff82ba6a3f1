"""Runs the command as in an environment without extras, where their packages cannot be imported.

`python client_install.py ARGUMENT…` runs one command. Standard input may instead hold a JSON list
of argument lists: the answer is a JSON list of each one's output and error.
"""

import json
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.machinery import ModuleSpec

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

DISTRIBUTION = "landmark-reverse-image-search"


def installed_without_extras() -> set[str]:
    """Return the distributions that installing ours without extras installs."""
    found: set[tuple[str, frozenset[str]]] = set()
    left = [(DISTRIBUTION, frozenset({""}))]
    while left:
        name, extras = left.pop()
        if (name, extras) in found:
            continue
        found.add((name, extras))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # for another platform
            continue
        left += [
            (canonicalize_name(one.name), frozenset({"", *one.extras}))
            for one in map(Requirement, lines)
            if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)
        ]
    return {name for name, _ in found}


class Blocker:
    """An import finder to which modules of other distributions do not exist."""

    def __init__(self) -> None:
        installed = installed_without_extras()
        self.modules = {
            module
            for module, distributions in metadata.packages_distributions().items()
            if installed.isdisjoint(map(canonicalize_name, distributions))
        }

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def outcomes(commands: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Run commands one after the other in this process."""
    from landmarks_tools.cli.app import app

    results = [CliRunner().invoke(app, command) for command in commands]
    return [{"output": one.output, "error": repr(one.exception)} for one in results]


if __name__ == "__main__":
    sys.meta_path.insert(0, Blocker())
    if sys.argv[1:]:
        from landmarks_tools.cli import main

        main()
    else:
        sys.stdout.write(json.dumps(outcomes(json.load(sys.stdin))))
