"""Runs a plan under supervisor, which restarts dead processes; restarts supervisor if it dies."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from landmarks.errors import ConfigurationError
from landmarks.service import EXIT_CONFIGURATION
from landmarks_tools.local_stack.data_lock import data_locked
from landmarks_tools.local_stack.free_ports import is_free
from landmarks_tools.local_stack.manager_log import ManagerLog
from landmarks_tools.local_stack.plan import Process, Role, StackPlan
from landmarks_tools.local_stack.process_group import end_group
from landmarks_tools.local_stack.qdrant_place import remember

_STOP_SECONDS = 30
# A process that ends so often before it is ready will not be; one that ends with the status of a
# wrong configuration will not be until someone has changed it.
_MOST_EXITS = 4
_FINAL_EXITS = (f"exit status {EXIT_CONFIGURATION}",)
# Engines first, the front door last; supervisor starts in this order and stops in reverse.
_PRIORITY = {Role.BROKER: 10, Role.VECTORS: 10, Role.ENCODER: 20, Role.WORKER: 30, Role.SEARCH: 40}


class StackManager:
    """A running stack, as a context manager: leaving it stops everything.

    Entering raises ConfigurationError if a port is in use or another stack runs on the same data.
    """

    def __init__(self, plan: StackPlan) -> None:
        self.plan = plan
        self._run_dir = plan.data_dir / "run"
        self.log_dir = plan.data_dir / "logs"
        self._log = ManagerLog(self.log_dir / "supervisor.log")
        self._supervisor: subprocess.Popen[bytes] | None = None
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> StackManager:
        """Check the ports, then start everything."""
        for folder in (self._run_dir, self.log_dir, self.plan.data_dir / "valkey"):
            folder.mkdir(parents=True, exist_ok=True)
        self._lock.enter_context(data_locked(self.plan.data_dir))
        try:
            for process in self.plan.processes:
                _require_free_ports(process)
            remember(self.plan.data_dir, self.plan.qdrant)
            self._write_configuration()
            self._start()
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop everything: SIGTERM, then SIGKILL after a timeout."""
        if self._supervisor is not None:
            end_group(self._supervisor, _STOP_SECONDS + 10)
            self._supervisor = None
        self._lock.close()

    def restart_if_dead(self) -> str:
        """Restart supervisor if it has died; return why it had, or an empty string.

        Its processes die with it (see `landmarks_tools.local_stack.launch`), so nothing runs twice.
        """
        why = self._death()
        if why:
            self._start()
        return why

    def failure(self, name: str) -> str:
        """Return why a process that is not ready yet will not be; empty if it may still be."""
        if why := self._death():
            return why
        exits = self._log.exits(name)
        if not exits or (len(exits) < _MOST_EXITS and exits[-1] not in _FINAL_EXITS):
            return ""
        times = "once" if len(exits) == 1 else f"{len(exits)} times"
        return f"{name} does not come up ({exits[-1]}, {times}):\n{self.log_tail(name)}"

    def _death(self) -> str:
        """Return how supervisor ended and what it said last; empty while it runs."""
        if self._supervisor is None or self._supervisor.poll() is None:
            return ""
        status = self._supervisor.returncode
        how = f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended: {status}"
        return f"the process manager {how}; its last words:\n{self._log.last_words() or '(none)'}"

    def exits(self, name: str) -> list[str]:
        """Return how each process of a name has ended so far, such as "exit status 1"."""
        return self._log.exits(name)

    def last_words(self) -> str:
        """Return the last lines of the process manager's own log."""
        return self._log.last_words()

    @property
    def pid(self) -> int:
        """The id of the process manager."""
        if self._supervisor is None:
            raise RuntimeError("the stack is not running")
        return self._supervisor.pid

    def log_file(self, name: str) -> Path:
        """Return the path of a process's log."""
        return self.log_dir / f"{name}.log"

    def log_tail(self, name: str, lines: int = 8) -> str:
        """Return the last lines of a process's log."""
        with contextlib.suppress(OSError):
            text = self.log_file(name).read_text(errors="replace")
            return "\n".join(text.splitlines()[-lines:])
        return ""

    def _start(self) -> None:
        self._supervisor = subprocess.Popen(
            [
                *(sys.executable, "-m", "landmarks_tools.local_stack.launch"),
                *(str(self._plan_file), "supervisor"),
            ],
            stdin=subprocess.DEVNULL,
            # Not a file: supervisor ends where it cannot write, as on a full disk.
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C on the terminal reaches `landmarks up` alone
        )
        if self._supervisor.stdout is not None:
            self._log.read(self._supervisor.stdout)

    @property
    def _plan_file(self) -> Path:
        return self._run_dir / "plan.json"

    def _write_configuration(self) -> None:
        configuration = self._run_dir / "supervisord.conf"
        supervisor = {
            "command": [
                *(sys.executable, "-m", "landmarks_tools.local_stack.process_manager"),
                *("--nodaemon", "--configuration", str(configuration)),
            ],
            "environment": {},
        }
        processes = {
            process.name: {
                "command": list(process.command),
                "environment": dict(process.environment),
            }
            for process in self.plan.processes
        }
        self._plan_file.write_text(json.dumps({"supervisor": supervisor, **processes}, indent=1))
        # The plan holds no secret today; addresses with passwords may come.
        self._plan_file.chmod(0o600)
        configuration.write_text("\n".join(self._configuration_lines()))

    def _configuration_lines(self) -> Iterator[str]:
        yield "[supervisord]"
        yield "logfile=/dev/null"  # it says the same on its standard output
        yield "logfile_maxbytes=0"
        yield f"pidfile={_escaped(self._run_dir / 'supervisord.pid')}"
        yield f"directory={_escaped(self.plan.data_dir)}"
        yield "minfds=256"
        if os.getuid() == 0:
            yield "user=root"  # supervisor warns if it runs as root by default
        for process in self.plan.processes:
            launcher = [sys.executable, "-m", "landmarks_tools.local_stack.launch"]
            launch = shlex.join([*launcher, str(self._plan_file), process.name])
            yield f"[program:{process.name}]"
            yield f"command={_escaped(launch)}"
            yield f"stdout_logfile={_escaped(self.log_file(process.name))}"
            yield "stdout_logfile_maxbytes=20MB"
            yield "stdout_logfile_backups=2"
            yield "redirect_stderr=true"
            yield f"priority={_PRIORITY[process.role]}"
            yield "autorestart=true"
            yield "startsecs=2"
            yield "startretries=1000"
            yield f"stopwaitsecs={_STOP_SECONDS}"
            yield "stopasgroup=true"
            yield "killasgroup=true"


def _escaped(value: object) -> str:
    """Escape a value for supervisor's configuration, where % begins an expression."""
    return str(value).replace("%", "%%")


def _require_free_ports(process: Process) -> None:
    for port in process.ports:
        if not is_free(port):
            raise ConfigurationError(
                f"port {port}, which {process.name} would listen on, is in use; stop what uses"
                f" it, or set {_port_variable(process, port)} to another port"
            )


def _port_variable(process: Process, port: int) -> str:
    if port == process.metrics_port:
        return "LANDMARKS_METRICS_PORT (the first of all)"
    if port == process.page_port:
        return "LANDMARKS_PAGE_PORT"
    return {
        Role.BROKER: "LANDMARKS_REDIS_PORT",
        Role.VECTORS: "LANDMARKS_QDRANT_PORT",
        Role.ENCODER: "LANDMARKS_ENCODER_PORT (the first encoder's)",
        Role.SEARCH: "LANDMARKS_SEARCH_PORT",
        Role.WORKER: "nothing",
    }[process.role]
