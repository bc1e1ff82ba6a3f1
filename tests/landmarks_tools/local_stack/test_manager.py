"""What the process manager does where a disk is full, where it dies, and where it cannot start."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from landmarks.errors import LandmarksError
from landmarks_tools.cli.up import await_ready
from landmarks_tools.local_stack.manager import StackManager
from landmarks_tools.local_stack.plan import Process, Role, StackPlan
from tests.support.ports import free_port
from tests.support.processes import descendants, eventually
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def _plan(data_dir: Path, **programs: str) -> StackPlan:
    """Plan processes that run these programs, and are never ready."""
    processes = tuple(
        Process(name, Role.BROKER, (sys.executable, "-uc", program), {})
        for name, program in programs.items()
    )
    return StackPlan(processes, data_dir, f"redis://127.0.0.1:{free_port()}/0")


_NOISY = """
import time
for number in range(10**9):
    print(number, "x" * 2_000)
    time.sleep(0.02)
"""


@pytest.mark.needs(mount="tmpfs")
def test_a_full_disk_ends_neither_the_manager_nor_its_processes(tmp_path: Path):
    with small_disk(tmp_path / "disk", 4) as disk:
        plan = _plan(disk.folder, noisy=_NOISY, dies="import time; time.sleep(0.5)")
        with StackManager(plan) as manager:
            log, own = manager.log_file("noisy"), manager.log_dir / "supervisor.log"
            eventually(lambda: log.exists() and log.stat().st_size > 0, "it writes its log")
            before = set(descendants(os.getpid()))
            disk.fill()
            written = log.stat().st_size
            # Each of its ends is a line of the manager's own log, which cannot be written either.
            ends = len(manager.exits("dies"))
            eventually(lambda: len(manager.exits("dies")) > ends + 2, "it is started again")
            assert not manager.restart_if_dead()
            noisy = [pid for pid in before if pid in set(descendants(os.getpid()))]
            assert len(noisy) >= 2  # the manager and the noisy one
            disk.make_room()
            eventually(lambda: log.stat().st_size > written + 20_000, "its log goes on")
            eventually(lambda: "exited: dies" in own.read_text(), "so does the manager's")


def test_a_manager_that_dies_is_started_again_and_it_is_said_why(tmp_path: Path):
    with StackManager(_plan(tmp_path, sleeps="import time; time.sleep(1000)")) as manager:
        assert not manager.restart_if_dead()
        eventually(lambda: "spawned: 'sleeps'" in manager.last_words(), "it runs")
        os.kill(manager.pid, signal.SIGKILL)
        eventually(lambda: bool(manager.failure("sleeps")), "it is dead")
        why = manager.restart_if_dead()
        assert "SIGKILL" in why
        assert "spawned: 'sleeps'" in why
        assert not manager.restart_if_dead()


def test_a_manager_that_cannot_start_is_reported_at_once_with_its_last_words(tmp_path: Path):
    plan = _plan(tmp_path, **{"no:name": "pass"})  # supervisor refuses such a name
    with (
        StackManager(plan) as manager,
        pytest.raises(LandmarksError, match="process manager") as refused,
    ):
        await_ready(manager)
    assert "no:name" in str(refused.value)


@pytest.mark.slow
def test_a_process_that_cannot_be_started_is_reported(tmp_path: Path):
    (tmp_path / "logs" / "sleeps.log").mkdir(parents=True)  # where its log should be
    with (
        StackManager(_plan(tmp_path, sleeps="import time; time.sleep(1000)")) as manager,
        pytest.raises(LandmarksError, match=r"sleeps does not come up \(spawnerr"),
    ):
        await_ready(manager)


@pytest.mark.parametrize(
    ("program", "times"),
    [
        ("import sys; print('no such setting'); sys.exit(2)", "once"),
        pytest.param("import sys; sys.exit('no such setting')", "4 times", marks=pytest.mark.slow),
    ],
    ids=["misconfigured", "again and again"],
)
def test_a_process_that_will_not_be_ready_is_reported_with_its_log(
    tmp_path: Path, program: str, times: str
):
    with (
        StackManager(_plan(tmp_path, broken=program)) as manager,
        pytest.raises(LandmarksError, match=rf"broken does not come up .*, {times}") as refused,
    ):
        await_ready(manager)
    assert "no such setting" in str(refused.value)
