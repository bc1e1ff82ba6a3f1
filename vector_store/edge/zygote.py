"""The small process that shard processes are forked from.

It has imported everything and does nothing, so a fork is ready in milliseconds where a new
interpreter takes seconds; and it has never made a gRPC object, so forking is safe. It dies with the
server, and the forks die with it, whatever they are doing: the kernel sees to both.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_FORK = b"f"


class Zygote:
    """The server's handle of the process. Use it from the server's main thread only.

    The kernel counts the death of the thread that started a child as that of its parent.
    """

    def __init__(self) -> None:
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        self.stop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "vector_store.edge.zygote",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},  # no threads before forking
            )
        self._control = ours

    def fork(self) -> socket.socket:
        """Return the connection to a new shard process; it answers when it is ready."""
        self.start()
        if self._control is None:
            raise RuntimeError("the process to fork from was not started")
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [_FORK], [theirs.fileno()])
        return ours

    def stop(self) -> None:
        """End the process, and with it what shard processes are left."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; exit if it has already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def main() -> None:
    """Fork a shard process for every connection that is handed over."""
    from vector_store.edge.worker import Worker  # the server needs the handle only

    control = socket.socket(fileno=int(sys.argv[1]))
    die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the server decides
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    zygote = os.getpid()
    while True:
        message, handed, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        connection = socket.socket(fileno=handed[0])
        if os.fork() == 0:
            die_with_parent(zygote)
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            Worker(connection).run()
            os._exit(0)
        connection.close()


if __name__ == "__main__":
    main()
