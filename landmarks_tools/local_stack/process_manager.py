"""The process manager: supervisor, with logs that may fail.

Supervisor ends at a line of its log that it cannot write, and all processes with it; a full disk
must not end what needs no disk. Its own log goes to standard output, which `landmarks up` reads.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from supervisor import loggers, supervisord


class ChildLog(loggers.RotatingFileHandler):  # type: ignore[misc]  # supervisor has no types
    """The log of a process: a line that cannot be written is left out."""

    def handleError(self) -> None:  # noqa: N802 - supervisor's name
        """Leave the line out; the log says nothing of it, as it is the log that failed."""

    def doRollover(self) -> None:  # noqa: N802
        """Begin a new file where one is due and can be made; else go on with the old one."""
        try:
            super().doRollover()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                self.stream = Path(self.baseFilename).open("ab")  # noqa: SIM115


def main() -> None:
    """Run supervisor with the arguments of this process."""
    loggers.RotatingFileHandler = ChildLog
    supervisord.main()


if __name__ == "__main__":
    main()
