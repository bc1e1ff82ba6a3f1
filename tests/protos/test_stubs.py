"""The contracts, their stubs and the rules they keep."""

import filecmp
import shutil
import subprocess
import sys
from pathlib import Path

import google.rpc.status_pb2
import pytest

ROOT = Path(__file__).resolve().parents[2]
STUBS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def stubs_below(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for pattern in STUBS for path in folder.rglob(pattern)}


def test_the_stubs_are_what_the_contracts_generate(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "generate_stubs.py"
    subprocess.run([sys.executable, script, tmp_path], check=True, capture_output=True)
    generated = stubs_below(tmp_path)
    assert generated, "nothing was generated"
    assert stubs_below(ROOT / "protos") == generated
    stale = [
        str(path)
        for path in sorted(generated)
        if not filecmp.cmp(ROOT / "protos" / path, tmp_path / path, shallow=False)
    ]
    assert not stale, f"run `make proto`: {stale}"


def buf_lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Lint a copy of the contracts, with the imported google.rpc beside them."""
    shutil.copytree(ROOT / "protos", folder / "protos")
    google = folder / "imported" / "google" / "rpc"
    google.mkdir(parents=True)
    shutil.copy(Path(google_rpc_folder()) / "status.proto", google)
    configuration = (ROOT / "buf.yaml").read_text()
    modules = "modules:\n  - path: protos\n"
    assert modules in configuration
    imported = modules + "  - path: imported\n    lint:\n      ignore:\n        - imported\n"
    (folder / "buf.yaml").write_text(configuration.replace(modules, imported))
    buf = Path(sys.executable).with_name("buf")
    return subprocess.run([buf, "lint"], cwd=folder, capture_output=True, text=True, check=False)


def google_rpc_folder() -> Path:
    return Path(google.rpc.status_pb2.__file__).parent


def test_the_contracts_keep_the_standard_rules_and_everything_is_commented(tmp_path: Path) -> None:
    result = buf_lint(tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("kept", "broken"),
    [("rpc GetPoint(", "rpc getPoint("), ("// A stored photo.\n", "\n")],
    ids=["a method in lower case", "a message without a comment"],
)
def test_a_contract_that_breaks_a_rule_is_found(tmp_path: Path, kept: str, broken: str) -> None:
    assert buf_lint(tmp_path).returncode == 0
    contract = tmp_path / "protos/landmarkapi/search/v1/search.proto"
    text = contract.read_text()
    assert kept in text
    contract.write_text(text.replace(kept, broken))
    buf = Path(sys.executable).with_name("buf")
    result = subprocess.run([buf, "lint"], cwd=tmp_path, capture_output=True, check=False)
    assert result.returncode != 0
