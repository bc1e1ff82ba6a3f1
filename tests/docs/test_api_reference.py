"""docs/api.md is what the comments of the contracts generate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_api_reference_is_what_the_contracts_generate(tmp_path: Path) -> None:
    script, out = ROOT / "scripts" / "generate_api_reference.py", tmp_path / "api.md"
    subprocess.run([sys.executable, script, out], check=True, capture_output=True)
    assert out.read_text() == (ROOT / "docs" / "api.md").read_text(), (
        "stale: run `python scripts/generate_api_reference.py`"
    )
