"""`python -m landmarks.edge_server.fork_process DESCRIPTOR PARENT`: what shards are forked from.

The server starts it (`fork_server`); DESCRIPTOR is of the connection to it, PARENT its number.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import socket
import sys
import traceback

from landmarks.edge_server.lean_imports import leave_out_grpc

_PR_SET_PDEATHSIG = 1


def main(descriptor: str, parent: str) -> None:
    """Fork a process for each descriptor that comes, until the server has closed its end."""
    _die_with_parent(int(parent))
    # Signals to the whole group are for the server, which closes the shards in order.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    leave_out_grpc()
    from landmarks.edge_server.shard_process import ShardProcess

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    gc.freeze()  # a collection would copy the pages that children share with this process
    own, control = os.getpid(), socket.socket(fileno=int(descriptor))
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


if __name__ == "__main__":
    main(*sys.argv[1:])
