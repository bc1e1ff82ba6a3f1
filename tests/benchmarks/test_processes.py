import sys

import pytest

from benchmarks.harness import CannotMeasureError
from benchmarks.machine import cores, machine, resident_bytes, versions
from benchmarks.peers.environment import python_with
from benchmarks.photos import photos_of
from benchmarks.processes import running, wait_until
from landmarks.errors import InvalidInputError
from tests.support.processes import descendants, eventually, is_running

SLEEPS = [sys.executable, "-c", "import time; time.sleep(600)"]
STARTS_ANOTHER = [
    sys.executable,
    "-c",
    f"import subprocess, time; subprocess.Popen({SLEEPS!r}); time.sleep(600)",
]


@pytest.mark.integration
def test_a_process_ends_with_its_block_and_so_does_what_it_started():
    with running(STARTS_ANOTHER) as process:
        wait_until(process, lambda: bool(list(descendants(process.pid))), "the other one")
        pids = [process.pid, *descendants(process.pid)]
        assert resident_bytes(process.pid) > 0
    assert len(pids) == 2
    eventually(lambda: not any(map(is_running, pids)), "both have ended")


@pytest.mark.integration
def test_a_process_that_ends_by_itself_says_why_the_figure_cannot_be_measured():
    fails = [sys.executable, "-c", "raise SystemExit('no such model')"]
    with pytest.raises(CannotMeasureError, match="no such model"), running(fails) as process:
        wait_until(process, lambda: False, "never")


@pytest.mark.integration
def test_a_peer_that_cannot_be_installed_is_a_reason_and_no_failure(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CannotMeasureError, match="infinity cannot be installed: "):
        python_with("infinity", tmp_path / "file")


def test_the_machine_and_the_versions_are_reported():
    assert f"{len(cores())} cores" in machine()
    assert "Python 3." in versions()
    assert "numpy 2." in versions()


def test_photos_are_taken_evenly_from_a_folder(tmp_path):
    for place in range(300):
        (tmp_path / f"{place:03}.jpg").touch()
    (tmp_path / "manifest.csv").touch()
    chosen = [int(path.stem) for path in photos_of(tmp_path)]
    assert len(chosen) == 96
    assert chosen[0] == 0
    assert chosen[-1] > 290
    (tmp_path / "none").mkdir()
    with pytest.raises(InvalidInputError, match="no photo"):
        photos_of(tmp_path / "none")
