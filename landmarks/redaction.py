"""Strikes out passwords and keys in addresses, wherever one is logged or part of an error."""

from __future__ import annotations

import re

# User and password: all before the last @ of the host's part, as a password may have an @ too.
_USERINFO = re.compile(r"(?<=://)[^/?#\s]*@")
_SECRET_VALUE = re.compile(
    r"(?<=[?&])([a-z0-9_.%-]*(?:passw|passphrase|secret|token|api_?key|signature|credential)"
    r"[a-z0-9_.%-]*|sig|pwd|auth|key)=[^&#\s\"'<>]*",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """Return a text with the user, the password and secret parameters of its addresses as ***."""
    if "://" not in text:
        return text
    return _SECRET_VALUE.sub(r"\1=***", _USERINFO.sub("***@", text))
