"""Deletions that are noted before they are made, so that workers complete what fails half-way."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from landmarks.batched import batched
from landmarks.errors import (
    InvalidInputError,
    LandmarksError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from landmarks.job_store.open_writes import OpenWrite, OpenWrites
from landmarks.vector_store.fenced_writes import FencedWrites

_HOLDER = "deletion"  # not a lease: any worker may complete it
_AT_ONCE = 1000
# Of these errors, nothing was done.
_REFUSED = (InvalidInputError, NotFoundError, UnsupportedError)


class RecordedDeletion:
    """A person's deletion in one collection. A copy that misses it would bring the points back."""

    def __init__(
        self, writes: FencedWrites, open_writes: OpenWrites, collection: str, generation: int
    ) -> None:
        self._writes = writes
        self._open_writes = open_writes
        self._collection = collection
        self._generation = generation
        self._left = 0
        self._failure: LandmarksError | None = None

    def complete_earlier(self) -> None:
        """Make the deletions that are noted already, so that no copy has their points any more.

        Raises UnavailableError if Redis cannot say which there are.
        """
        for write in self._open_writes.find(self._collection):
            if write.deletes:
                self._make(write)

    def delete(self, ids: Sequence[UUID]) -> None:
        """Note points and delete them; once that has failed, only note them.

        Raises UnavailableError if they cannot be noted.
        """
        for some in batched(ids, _AT_ONCE):
            write = self._open_writes.begin_deletion(
                self._collection, _HOLDER, some, seen=self._generation
            )
            self._make(write)

    def _make(self, write: OpenWrite) -> None:
        if self._failure is None:
            try:
                self._writes.delete(self._collection, write.generation, sorted(write.ids))
            except _REFUSED:
                self._open_writes.close(write)
                raise
            except LandmarksError as error:
                self._failure = error
            else:
                self._open_writes.close(write)
        if self._failure is not None:
            self._left += len(write.ids)

    def check(self) -> None:
        """Raise UnavailableError if Qdrant has not confirmed the whole deletion."""
        if self._failure is not None:
            raise UnavailableError(
                f"Qdrant has not confirmed the deletion of {self._left:,} points of"
                f" {self._collection}: {self._failure}. The deletion is recorded, and a worker"
                " completes it as soon as Qdrant accepts it; until then, a search may find some of"
                " them. Nothing needs to be repeated"
            ) from self._failure
