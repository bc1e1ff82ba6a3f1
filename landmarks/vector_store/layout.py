"""How many copies of a shard a cluster keeps, and how many must confirm a write. No connection.

A write that fewer copies confirm than it needs is an error to its caller, stays on the copies that
it reached, and leaves the missed ones marked Active, so that Qdrant never repairs them. One that is
confirmed has the missed copies marked Dead, and they are copied again once their node is back. If
a write needs every copy, only the first can happen. (1.18.3, observed and read in its source.)
"""

from __future__ import annotations

_WHY = (
    "a write that cannot reach every copy fails, stays on those that it reached, and Qdrant never"
    " repairs the others"
)


def acknowledgements_for(copies: int) -> int:
    """Return how many of the copies should confirm a write, so that they cannot differ for good."""
    return 1 if copies < 3 else 2


def diverges(copies: int, acknowledgements: int) -> bool:
    """Say whether copies can differ for good: a write needs every one of them."""
    return copies > 1 and acknowledgements >= copies


def refused_settings(copies: int, acknowledgements: int) -> str:
    """Return why settings are refused, and the two ways out."""
    return (
        f"LANDMARKS_QDRANT_REPLICATION_FACTOR={copies} with"
        f" LANDMARKS_QDRANT_WRITE_CONSISTENCY_FACTOR={acknowledgements} would make collections"
        f" whose copies differ once a node has been away: {_WHY}. Require fewer acknowledgements"
        f" ({acknowledgements_for(copies)}), or keep more copies ({acknowledgements + 1})"
    )


def refused_collection(name: str, copies: int, acknowledgements: int, *, removed: bool) -> str:
    """Return why a collection that is new, or not live, is refused, and the ways out."""
    way_out = (
        "It was removed. Set LANDMARKS_QDRANT_REPLICATION_FACTOR and"
        " LANDMARKS_QDRANT_WRITE_CONSISTENCY_FACTOR to 2 and 1, or on three or more nodes to 3 and"
        " 2"
        if removed
        else f"`landmarks collections --fix-layout {name}` makes it safe, and `--drop {name}`"
        " deletes it"
    )
    return (
        f"Qdrant keeps {copies} copies of {name}, and a write needs {acknowledgements}"
        f" acknowledgements: {_WHY}. {way_out}"
    )


def unsafe_layout(name: str, copies: int, acknowledgements: int) -> str:
    """Return why the copies of a collection can differ for good; empty if they cannot."""
    if not diverges(copies, acknowledgements):
        return ""
    return (
        f"its {copies} copies differ once a node has been away, as a write needs"
        f" {acknowledgements} acknowledgements: {_WHY}. `landmarks collections --fix-layout {name}`"
        f" makes it {acknowledgements_for(copies)}"
    )
