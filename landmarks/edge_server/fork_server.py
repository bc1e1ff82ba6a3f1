"""The small process that shard processes are forked from.

The server forks it before it creates any gRPC object. It has imported everything and does nothing,
so forking it is safe, and takes milliseconds where a new interpreter takes seconds. When the
server dies, the kernel kills it and the shard processes, whatever they are doing.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import traceback

from landmarks.edge_server.shard_process import ShardProcess

_PR_SET_PDEATHSIG = 1
_FORK = b"f"


class ForkServer:
    """The server's handle of the process."""

    def __init__(self, control: socket.socket, process: int) -> None:
        self._control = control
        self._process = process

    @classmethod
    def start(cls) -> ForkServer:
        """Fork the process. Only from the main thread, before any gRPC object or event loop exists.

        The kernel counts the end of the thread that forked as that of the parent.
        """
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            try:
                ours.close()
                _die_with_parent(parent)
                _serve(theirs)
            finally:
                os._exit(0)
        theirs.close()
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
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)


def _serve(control: socket.socket) -> None:
    # Signals to the whole group are for the server, which closes the shards in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    own = os.getpid()
    while True:
        message, handed, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        connection = socket.socket(fileno=handed[0])
        if os.fork() == 0:
            _die_with_parent(own)
            control.close()
            try:
                ShardProcess(connection).run()
            except BaseException:  # noqa: BLE001 - reported before the process exits
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        connection.close()


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; exit if it has already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
