"""Embeddings cached on disk, by the encoder's digest and the hash of a photo's bytes.

A folder per encoder holds parts: files of some hundred rows, written once, with the checksums of a
zip file. Concurrent processes each add their own parts; a killed one loses at most the part that
it was filling.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import structlog

from landmarks.files import replace_file

_log = structlog.get_logger(__name__)

FloatVector: TypeAlias = npt.NDArray[np.float32]
_KEY_BYTES = 32
_NAME_LENGTH = 32


class EmbeddingCache:
    """The embeddings of one encoder: rows of `dimension` float32, by the photos' sha256."""

    def __init__(self, root: Path, model: str, digest: str, dimension: int) -> None:
        self.folder = root / f"{model}-{digest[:16]}"
        self._dimension = dimension

    def read(self) -> dict[bytes, FloatVector]:
        """Return all rows, float32 (dimension,), by the 32 bytes of a sha256.

        A damaged part is removed with a warning; its photos are then embedded again.
        """
        rows: dict[bytes, FloatVector] = {}
        for path in sorted(self.folder.glob("*.npz")):
            try:
                rows.update(self._part(path))
            except FileNotFoundError:
                continue  # another process found it damaged first
            except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
                _log.warning(
                    "a file of cached embeddings is damaged; its photos are embedded again",
                    path=str(path),
                    reason=str(error),
                )
                path.unlink(missing_ok=True)
        return rows

    def add(self, rows: Mapping[bytes, FloatVector]) -> None:
        """Store these rows, all of them or none."""
        if not rows:
            return
        keys = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, _KEY_BYTES)
        packed = io.BytesIO()
        np.savez(packed, keys=keys, rows=np.stack(list(rows.values())))
        data = packed.getvalue()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{hashlib.sha256(data).hexdigest()[:_NAME_LENGTH]}.npz"
        replace_file(path, lambda new: new.write_bytes(data))

    def _part(self, path: Path) -> dict[bytes, FloatVector]:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as part:
            keys, rows = part["keys"], part["rows"]
        if keys.shape != (len(rows), _KEY_BYTES) or rows.shape != (len(keys), self._dimension):
            raise ValueError(f"it holds arrays of shapes {keys.shape} and {rows.shape}")
        return {key.tobytes(): row for key, row in zip(keys, rows.astype(np.float32), strict=True)}
