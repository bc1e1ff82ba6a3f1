"""Standard streams that are closed, break or cannot hold every character, without tracebacks."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import NoReturn


def open_missing_streams() -> None:
    """Open standard streams that the caller has closed to nowhere; call this before anything else.

    Otherwise they are None in Python, and the next file or socket that is opened gets the number of
    one, so that texts for people end up in it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


@contextmanager
def forgiving_streams() -> Iterator[None]:
    r"""Let the block print any character, and end quietly where nobody reads on, as in `| head`.

    Characters that the encoding lacks are printed as escapes, as in `\xe9`. What is left to write
    is written at the end of the block; raises OSError, as of a full disk.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_output()
        except OSError:
            _discard_output()
            raise


def end_unread() -> NoReturn:
    """End the command, as nobody reads its output any more."""
    _discard_output()
    sys.exit(0)


def _discard_output() -> None:
    """Send what is left to nowhere; otherwise Python tries to write it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
