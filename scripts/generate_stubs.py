"""Generate the Python stubs of every contract, beside its .proto file or below another folder.

Usage: python scripts/generate_stubs.py [OUT]
"""

import sys
from importlib import resources
from pathlib import Path

import google.rpc.status_pb2
from grpc_tools import protoc

PROTOS = Path(__file__).resolve().parent.parent / "protos"


def include_paths() -> list[Path]:
    """Return where the contracts import from: here, protobuf's own types, google.rpc."""
    well_known = Path(str(resources.files("grpc_tools") / "_proto"))
    google_rpc = Path(google.rpc.status_pb2.__file__).parents[2]
    return [PROTOS, well_known, google_rpc]


def generate(out: Path) -> None:
    """Write the stubs of every contract below `out`, as `landmarkapi/…`."""
    contracts = sorted(str(path) for path in (PROTOS / "landmarkapi").rglob("*.proto"))
    arguments = [
        "protoc",
        *(f"-I{path}" for path in include_paths()),
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out={out}",
        f"--mypy_grpc_out={out}",
        *contracts,
    ]
    if code := protoc.main(arguments):
        raise SystemExit(code)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTOS)
