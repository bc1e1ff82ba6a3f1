"""The server's handle of the small process that shard processes are forked from.

That process (`fork_process`) imports only what a shard needs, and does nothing, so forking it is
safe and takes milliseconds. When the server dies, the kernel kills it and the shard processes,
whatever they are doing.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

_FORK = b"f"
# A walk through an index reads memory here and there, and much of its time goes into finding
# where that is. With pages of 2 MB instead of 4 KB, a query of a million int8 vectors takes a
# third less. The C library reads this when a program starts, and only then.
_HUGE_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")


class ForkServer:
    """The process, and the connection to it."""

    def __init__(self, control: socket.socket, process: subprocess.Popen[bytes]) -> None:
        self._control = control
        self._process = process

    @classmethod
    def start(cls) -> ForkServer:
        """Start the process. Only from the main thread.

        The kernel counts the end of the thread that started it as that of the parent.
        """
        ours, theirs = socket.socketpair()
        name, value = _HUGE_PAGES
        with theirs:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "landmarks.edge_server.fork_process",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                env={name: value, **os.environ},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return cls(ours, process)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the process has died."""
        return self._control.fileno()

    def fork(self) -> socket.socket:
        """Fork a shard process and return the connection to it; it answers when it is ready."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [_FORK], [theirs.fileno()])
        return ours

    def stop(self) -> None:
        """End the process, and with it any remaining shard processes."""
        self._control.close()
        self._process.kill()
        self._process.wait()
