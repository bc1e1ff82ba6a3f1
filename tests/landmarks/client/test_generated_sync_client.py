"""The client for threads is generated from the one for an event loop."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_sync_client_is_what_the_async_one_generates(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "generate_sync_client.py"
    out = tmp_path / "sync.py"
    subprocess.run([sys.executable, script, out], check=True, capture_output=True)
    committed = ROOT / "landmarks" / "client" / "sync.py"
    assert committed.read_text() == out.read_text(), f"run `python {script.relative_to(ROOT)}`"
