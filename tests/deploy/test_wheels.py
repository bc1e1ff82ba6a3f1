"""What the two distributions hold, built as a user's pip builds them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.dockerfile import ROOT

pytestmark = pytest.mark.integration

MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the wheel of each folder that builds one."""
    wheels = {}
    for folder in (".", "weights"):
        out = tmp_path_factory.mktemp("wheel")
        uv = Path(sys.executable).with_name("uv")
        subprocess.run(
            [
                uv,
                "build",
                "--quiet",
                "--wheel",
                "--no-build-isolation",
                "--python",
                sys.executable,
                "--out-dir",
                out,
                ROOT / folder,
            ],
            check=True,
        )
        (wheels[folder],) = out.glob("*.whl")
    return wheels


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


def test_the_wheel_of_the_code_has_five_packages_and_the_stubs_and_no_weights(
    built: dict[str, Path],
) -> None:
    listed = names(built["."])
    tops = {name.split("/")[0] for name in listed if ".dist-info/" not in name}
    assert tops == {
        "encoder_service",
        "indexer_worker",
        "landmarkapi",
        "landmarks",
        "landmarks_tools",
        "search_service",
    }
    assert built["."].stat().st_size <= 3 * MEGABYTE
    assert not [name for name in listed if name.endswith(".safetensors")]


def test_the_wheel_of_the_weights_has_weights_and_cards_and_no_code(
    built: dict[str, Path],
) -> None:
    listed = [name for name in names(built["weights"]) if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in listed} == {"landmarks_weights"}
    assert {Path(name).suffix for name in listed} == {".py", ".safetensors", ".json", ".md"}
    assert [name for name in listed if name.endswith(".py")] == ["landmarks_weights/__init__.py"]
