"""One process owns a data folder, until it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landmarks.edge_server.dir_lock import lock
from landmarks.errors import ConfigurationError

HOLD = """
import sys, time
from pathlib import Path
from landmarks.edge_server.dir_lock import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_refused_while_another_process_holds_it_and_free_once_that_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "data" / "server.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigurationError, match="in use by another process"), lock(path):
            pass
        holder.kill()
    with lock(path):
        pass


def test_a_forked_child_neither_keeps_nor_ends_the_lock_of_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    ends, end = os.pipe()
    with lock(path):
        if (child := os.fork()) == 0:
            os.close(end)
            os.read(ends, 1)  # until the parent closes its end
            os._exit(0)
        if (short := os.fork()) == 0:
            os._exit(0)
        os.waitpid(short, 0)
        with pytest.raises(ConfigurationError), lock(path):
            pass
    try:
        with lock(path):
            pass
    finally:
        os.close(ends)
        os.close(end)
        os.waitpid(child, 0)


def test_the_lock_waits_for_a_holder_that_is_about_to_end(tmp_path: Path) -> None:
    path = tmp_path / "server.lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
        with lock(path, wait_seconds=30):
            pass
