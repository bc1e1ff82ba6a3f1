"""Which of the errors that Qdrant reports as internal say that nodes of its cluster are away.

Qdrant has one code, INTERNAL, for a node that cannot be reached, a full disk and a damaged shard;
only the words differ. A node passes on what another one answered, in quotes, so words are searched
for anywhere in a message.
"""

from __future__ import annotations

from collections.abc import Mapping

# Where the words come from: a cluster of this version said them, or its source has them.
_SEEN, _READ = "1.18.3", "1.18.3, read in its source"

PEERS_AWAY: Mapping[str, str] = {
    # What a call to another node ended with: the words of tonic for a status of gRPC.
    "code: 'The service is currently unavailable'": _SEEN,
    "transport error": _SEEN,
    "tcp connect error": _SEEN,
    "h2 protocol error": _READ,
    "code: 'The operation was cancelled'": _READ,
    "code: 'Deadline expired before operation could complete'": _SEEN,
    "Healthcheck timeout": _SEEN,  # of a node that is stopped, not gone
    # A node that is shutting down; a copy that took too long, or that is being made.
    "Operation cancelled: ": _READ,
    "\n  Operation Cancelled: ": _READ,
    "\n  Timeout error: ": _SEEN,
    "\n  Precondition failed: ": _READ,
    "\n  Shard temporarily unavailable: ": _READ,
    # Too few copies take part.
    "does not have enough active replicas": _SEEN,
    "has no active replica": _READ,
    "to at least one `Active` replica": _READ,
    "failed to apply operation and deactivation timed out": _READ,
    "all attempts were rejected": _READ,  # by copies that have seen later writes
    # Too few nodes take part in a decision of the whole cluster: collections, aliases, indexes.
    "Waiting for consensus operation commit failed": _SEEN,
    "Error occurred while waiting for consensus operation": _READ,
    "Failed to propose ": _READ,  # as no leader is elected
    "Failed to submit consensus proposal": _READ,
    "Failed to wait for consensus commit": _READ,
    "Failed to wait for replica set state": _READ,
    # A node that has just joined, or left.
    "no address found for peer": _READ,
    "Address for peer ID is not found": _READ,
}

# The same for a disk without room; on this node or on another.
NO_ROOM: Mapping[str, str] = {
    "No space left on device": _SEEN,
}


def peers_are_away(message: str) -> bool:
    """Say whether an internal error of Qdrant is that nodes of its cluster cannot be reached.

    Also if only one of several copies is away and the others have failed otherwise: once it is
    back, it answers for all.
    """
    return any(words in message for words in PEERS_AWAY)


def disk_is_full(message: str) -> bool:
    """Say whether an internal error of Qdrant is that a disk has no room."""
    return any(words in message for words in NO_ROOM)


def peer_lags(message: str) -> bool:
    """Say whether what was not found is a collection, by a node that does not know it yet.

    The node that was called knows it, or it would not have asked another one.
    """
    return "code: 'Some requested entity was not found'" in message and (
        "Collection `" in message and "doesn't exist" in message
    )
