"""`landmarks demo`, small: the README's first command."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from landmarks_tools.cli.output import ExitCode
from tests.support.processes import command_line, running_ids

LANDMARKS = Path(sys.executable).with_name("landmarks")


@pytest.mark.slow
@pytest.mark.integration
def test_the_demo_draws_indexes_searches_says_how_well_and_stops_everything(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = subprocess.run(
        [LANDMARKS, "demo", "--models", "scratch", "--views", "4", "--out", out],
        capture_output=True,
        text=True,
    )
    assert result.returncode == ExitCode.OK, result.stdout + result.stderr
    steps = re.findall(r"^(\d)\. ", result.stdout, re.MULTILINE)
    assert steps == list("1234567")
    assert "calibrated with 72 photos" in result.stdout
    assert "72" in re.findall(r"^scratch +(\d+) +\d+ +", result.stdout, re.MULTILINE)
    for landmark in ("Atomium", "Soreq_Cave"):
        assert f"a view of {landmark}" in result.stdout
        with Image.open(out / f"{landmark.lower()}.png") as sheet:
            assert sheet.width > 500
    shares = re.findall(r"^(scratch|fused) +(\d+) of 24", result.stdout, re.MULTILINE)
    assert [name for name, _ in shares] == ["scratch", "fused"]
    assert all(int(right) >= 6 for _, right in shares), "chance alone finds one of 24"
    assert "make up" in result.stdout
    assert re.search(r"Set-up took \d+ s, the rest \d+ s", result.stdout)
    assert not [pid for pid in running_ids() if str(out) in command_line(pid)]


def test_a_demo_that_cannot_be_given_fails_with_the_reason(tmp_path: Path) -> None:
    result = subprocess.run(
        [LANDMARKS, "demo", "--models", "resnet", "--out", tmp_path], capture_output=True, text=True
    )
    assert result.returncode == ExitCode.NOT_FOUND
    assert "there is no model 'resnet'" in result.stderr
