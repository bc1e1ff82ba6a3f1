"""The options of channels and servers: gRPC ignores a name that it does not know."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from grpc._cython import cygrpc

ROOT = Path(__file__).parents[3]
FOLDERS = ("landmarks", "search_service", "encoder_service", "indexer_worker", "landmarks_tools")
FOLDERS += ("benchmarks", "examples", "tests")


def options() -> Iterator[tuple[str, str]]:
    """Each option that a source sets: a pair whose first is a name of gRPC's; and where."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            for node in ast.walk(ast.parse(text if '"grpc.' in text else "")):
                match node:
                    case ast.Tuple(elts=[ast.Constant(value=str(name)), _]) if name.startswith(
                        "grpc."
                    ):
                        yield name, f"{path.relative_to(ROOT)}:{node.lineno}"


def test_every_option_has_a_name_that_the_installed_grpc_reads() -> None:
    library = Path(cygrpc.__file__).read_bytes()
    known = {name.decode() for name in re.findall(rb"grpc\.[a-zA-Z0-9_.]+(?=\0)", library)}
    unknown = {where: name for name, where in options() if name not in known}
    assert not unknown
