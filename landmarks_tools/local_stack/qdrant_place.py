"""Which Qdrant the stack of a data folder uses: its own, or one that is there already.

The folder remembers it: its jobs are about the photos in that Qdrant, and would go on in another.
"""

from __future__ import annotations

from pathlib import Path

from landmarks.addresses import parse_addresses
from landmarks.errors import InvalidInputError
from landmarks.settings import QdrantSettings
from landmarks_tools.local_stack.settings import StackSettings

# What is given for the stack's own, once another has been remembered.
OWN = "embedded"
_FILE = "qdrant-address"


def remembered(data_dir: Path) -> str:
    """Return the addresses of the Qdrant that a folder's stack used last; empty: its own."""
    try:
        return (data_dir / _FILE).read_text().strip()
    except FileNotFoundError:
        return ""


def remember(data_dir: Path, addresses: str) -> None:
    """Note which Qdrant a folder's stack uses; empty: its own."""
    path = data_dir / _FILE
    if addresses:
        path.write_text(f"{addresses}\n")
    else:
        path.unlink(missing_ok=True)


def qdrant_elsewhere(settings: StackSettings, given: str) -> QdrantSettings | None:
    """Return where the stack's Qdrant is: where `given` says, else as remembered; None: its own.

    Key and TLS are those of the environment; the stack's own calls have no TLS, so what Qdrant is
    trusted by is `qdrant_tls_ca` alone. Raises InvalidInputError for an address that is none.
    """
    addresses = given or remembered(settings.data_dir)
    if addresses in ("", OWN):
        return None
    try:
        parse_addresses(addresses, settings.qdrant_port)
    except ValueError as error:
        raise InvalidInputError(f"--qdrant: {error}") from error
    qdrant = QdrantSettings.load({"qdrant_host": addresses, "qdrant_port": settings.qdrant_port})
    return qdrant.model_copy(
        update={
            "qdrant_tls_ca": qdrant.qdrant_tls_ca or qdrant.tls_ca,
            "tls_ca": None,
            "tls_certificate": None,
            "tls_key": None,
        }
    )
