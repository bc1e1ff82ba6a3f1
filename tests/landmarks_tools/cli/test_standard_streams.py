"""Standard streams that are closed, break, are full or cannot hold every character."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from landmarks.security import api_keys
from landmarks.security.api_keys import Permission

pytestmark = pytest.mark.integration

LANDMARKS = Path(sys.executable).with_name("landmarks")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("keys") / "keys"
    api_keys.create(made, "app", Permission.READ)
    return made


def run(arguments: str, *redirections: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell, with its streams redirected."""
    line = f"exec {LANDMARKS} {arguments} {' '.join(redirections)}"
    return subprocess.run(
        ["sh", "-c", line],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("how", ["", "--json"])
def test_where_nobody_reads_on_the_command_ends_quietly(file: Path, how: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as into:
        done = subprocess.run(
            [LANDMARKS, "keys", "list", "--file", file, *how.split()],
            stdout=into,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_nowhere(file: Path, closed: str) -> None:
    done = run(f"keys list --file {file}", closed)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_output_does_not_become_the_next_file_that_is_opened(tmp_path: Path) -> None:
    done = run(f"keys create app --file {tmp_path}/keys", ">&-", "2>&-")
    assert done.returncode == 0
    assert [key.name for key in api_keys.read(tmp_path / "keys")] == ["app"]


def test_a_full_disk_is_an_error_of_one_line(file: Path) -> None:
    done = run(f"keys list --file {file}", ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == "error: a file or the output: No space left on device\n"


def test_an_encoding_without_some_characters_shows_them_as_escapes(tmp_path: Path) -> None:
    name = tmp_path / "Sacré-Cœur"
    plain = run(f"keys revoke app --file '{name}'", PYTHONIOENCODING="ascii")
    assert plain.returncode == 1
    assert "Sacr\\xe9-C\\u0153ur" in plain.stderr
    assert "Traceback" not in plain.stderr


@pytest.mark.parametrize("arguments", ["index '/caf\\351'", "jobs '\\351'"])
def test_an_argument_that_is_not_utf_8_is_an_error_of_one_line(arguments: str) -> None:
    command, _, quoted = arguments.rpartition(" ")
    given = f'{command} "$(printf {quoted})" --server 127.0.0.1:1'
    done = run(given)
    assert done.returncode == 2
    assert r"\udce9' has bytes that are not UTF-8" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_in_an_encoding_without_some_characters_is_still_json() -> None:
    code = (
        "from landmarks_tools.cli.output import print_json, print_table\n"
        "print_json({'name': 'Sacré-Cœur \U0001f5fc'})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        check=True,
    )
    assert json.loads(done.stdout.decode("ascii")) == {"name": "Sacré-Cœur \U0001f5fc"}
