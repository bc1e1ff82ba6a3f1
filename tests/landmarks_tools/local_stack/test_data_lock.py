"""A data folder has one stack; who dies has no lock, whatever it started before."""

import subprocess
import sys
from pathlib import Path

import pytest

from landmarks.errors import ConfigurationError
from landmarks_tools.local_stack.data_lock import data_locked, stack_runs

# Locks the folder and starts a child while it does, then waits to be killed.
HOLDER = """
import subprocess, sys
from pathlib import Path
from landmarks_tools.local_stack.data_lock import data_locked

with data_locked(Path(sys.argv[1])):
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True)
    sys.stdin.read()
"""


def test_a_locked_folder_is_refused_until_its_holder_is_done(tmp_path: Path) -> None:
    with data_locked(tmp_path):
        assert stack_runs(tmp_path)
        with (
            pytest.raises(ConfigurationError, match="another stack runs on"),
            data_locked(tmp_path),
        ):
            pass
    assert not stack_runs(tmp_path)


def test_locks_of_different_names_do_not_exclude_each_other(tmp_path: Path) -> None:
    with data_locked(tmp_path, "backup.lock", "another backup is running"):
        assert not stack_runs(tmp_path)


def test_a_killed_holder_frees_the_lock_though_its_child_lives_on(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            assert stack_runs(tmp_path)
            holder.kill()
            holder.wait()
            assert not stack_runs(tmp_path)
        finally:
            subprocess.run(["kill", str(child)], check=False)
