"""Starts, inspects and ends the processes of tests (Linux)."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
_END_SECONDS = 15


@contextlib.contextmanager
def running_command(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    directory: Path = ROOT,
    log: Path | None = None,
    end_seconds: float = _END_SECONDS,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; its output goes to `log`, by default to pytest's."""
    with contextlib.ExitStack() as files:
        out = files.enter_context(log.open("wb")) if log else None
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT if out else None,
        )
    try:
        yield process
    finally:
        end(process, end_seconds)


def running_module(
    *module: str, log: Path | None = None, **settings: str
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """Run `python -m module…` with these settings, and none of this process's own."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("LANDMARKS_")},
        "LANDMARKS_LOG_FORMAT": "json" if log else "console",
        "LANDMARKS_PAGE_PORT": "",  # the tests of the page name one; all others would share it
        **{f"LANDMARKS_{name.upper()}": value for name, value in settings.items()},
    }
    return running_command([sys.executable, "-m", *module], environment, log=log)


def listens(port: int) -> bool:
    """Return whether something accepts connections at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end(process: subprocess.Popen[bytes], seconds: float = _END_SECONDS) -> None:
    """End a process by its id: by SIGTERM, and by SIGKILL where that does not suffice."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def descendants(pid: int) -> Iterator[int]:
    """Yield the ids of all processes below `pid`."""
    for child in children(pid):
        yield child
        yield from descendants(child)


def running_ids() -> list[int]:
    """Return the ids of all processes."""
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()]


def children(pid: int) -> list[int]:
    """Return the ids of the processes that `pid` started and that have not ended."""
    found = []
    for child in running_ids():
        with contextlib.suppress(OSError):
            # After the command's name, which may hold anything: state, parent, …
            stat = Path(f"/proc/{child}/stat").read_text()
            state, parent = stat.rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(child)
    return found


def command_line(pid: int) -> str:
    """Return the command line of a process; empty if it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""


def cpu_ticks(pid: int) -> int:
    """Return how long a process has computed, in clock ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def is_running(pid: int) -> bool:
    """Return whether a process has not ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def eventually(check: Callable[[], bool], what: str, seconds: float = 180) -> None:
    """Wait until `check` is true; the bound only keeps a broken test from hanging."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
