"""Shell scripts, by their linter."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.dockerfile import ROOT


@pytest.mark.parametrize(
    "script",
    [
        *(".ci/run", "scripts/check", "scripts/setup", "scripts/test"),
        *("deploy/compose/make-secrets", "deploy/docker/healthy"),
        *sorted(f"findings/{path.name}" for path in (ROOT / "findings").glob("*.sh")),
    ],
)
def test_a_script_passes_its_linter(script: str) -> None:
    linter = Path(sys.executable).with_name("shellcheck")
    result = subprocess.run([linter, ROOT / script], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
