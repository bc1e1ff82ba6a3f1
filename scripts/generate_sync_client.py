"""Generate the client for threads, landmarks/client/sync.py or OUT, from the asynchronous one.

Usage: python scripts/generate_sync_client.py [OUT]

What the two sides do differently is not generated: `aio_transport` and `sync_transport` have it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

ROOT = Path(__file__).resolve().parent.parent
CLIENT = ROOT / "landmarks" / "client"

HEADER = "# Generated from aio.py by scripts/generate_sync_client.py; do not edit.\n"
NAMES = {
    "AsyncLandmarks": "Landmarks",  # unasync's own rule would make it SyncLandmarks
    "aio_transport": "sync_transport",
}
# unasync replaces a string only if it knows the whole, so docstrings are replaced here.
DOCSTRINGS = {
    "The client for an event loop, and the source that `sync` is generated from.": (
        "The client for threads."
    ),
    "The search service, as coroutines. Share one within the event loop it was created in.": (
        "The search service, as functions. Share one between threads."
    ),
}


def generated() -> str:
    """Return the text of the synchronous client."""
    asynchronous = CLIENT / "aio.py"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "sync.py"
        # Rules are of folders and, as they compare parts of paths, of files as well.
        rule = unasync.Rule(str(asynchronous), str(made), additional_replacements=NAMES)
        unasync.unasync_files([str(asynchronous)], [rule])
        text = made.read_text(encoding="utf-8")
    for docstring, replacement in DOCSTRINGS.items():
        if docstring not in text:
            raise SystemExit(f"aio.py no longer has the docstring {docstring!r}; edit DOCSTRINGS")
        text = text.replace(docstring, replacement)
    return formatted(HEADER + text)


def formatted(text: str) -> str:
    """Return the text as the linter wants it: shorter lines joined, imports sorted again."""
    for command in (["check", "--fix-only", "--unsafe-fixes", "--quiet"], ["format", "--quiet"]):
        ruff = [Path(sys.executable).with_name("ruff"), *command]
        name = f"--stdin-filename={CLIENT / 'sync.py'}"
        result = subprocess.run(
            [*ruff, name, "-"], cwd=ROOT, input=text, capture_output=True, text=True, check=True
        )
        text = result.stdout
    return text


if __name__ == "__main__":
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else CLIENT / "sync.py"
    out.write_text(generated(), encoding="utf-8")
