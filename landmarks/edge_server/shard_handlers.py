"""How a shard's methods are kept: by name, with the message that each takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from google.protobuf.message import Message

Handlers: TypeAlias = Mapping[str, tuple[type[Message], Callable[..., Message]]]
