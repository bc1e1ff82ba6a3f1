"""How the lack of room on a disk shows, in errors of the system and of the engine."""

from __future__ import annotations

import errno

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_TEXTS = ("No space left on device", "Disk quota exceeded")


def is_for_lack_of_room(text: str) -> bool:
    """Say whether the engine's complaint is that the disk is full."""
    return any(one in text for one in _TEXTS)
