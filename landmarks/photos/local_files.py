"""Opening what lies below a folder of this machine, and nothing else, while links are swapped."""

from __future__ import annotations

import errno
import os
import stat

# O_PATH, of Linux: to pass through a folder, one need not be allowed to list it.
_PASSED = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, a pipe or a device would hold its reader for ever.
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_LOOKED_AT = getattr(os, "O_PATH", _READ) | os.O_CLOEXEC


def open_file(root: str, path: str) -> int:
    """Open a regular file for reading, and return its descriptor; raises OSError.

    `path` has no links: it is `root`, or below it. What has become a link since it was resolved is
    not followed, so that nothing outside of the root is ever opened.
    """
    descriptor = _open(root, path, _READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


def open_folder(root: str, path: str) -> int:
    """Open a folder for listing, as `open_file` opens files."""
    return _open(root, path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def file_status(root: str, path: str) -> os.stat_result:
    """Return the status of what is there, as `open_file` finds it."""
    descriptor = _open(root, path, _LOOKED_AT)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _open(root: str, path: str, flags: int) -> int:
    if path == root:
        return os.open(root, flags)
    *folders, name = path[len(root) :].strip("/").split("/")
    above = os.open(root, _PASSED)
    try:
        for folder in folders:
            below = os.open(folder, _PASSED | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=above)
    finally:
        os.close(above)
