"""What a person says of photos: their label, what they do not show, and that they are taken out.

It is written to the photos' points in every collection of the gallery, and stays there whatever is
indexed later; see `landmarks.vector_store.said`. No file is touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from uuid import UUID

from landmarks.batched import batched
from landmarks.errors import InvalidInputError, LandmarksError, NotFoundError, UnavailableError
from landmarks.job_store.open_writes import OpenWrites, new_name
from landmarks.job_store.store import JobStore
from landmarks.naming import check_gallery
from landmarks.vector_store.held_photos import HeldPhoto
from landmarks.vector_store.points import PhotoPayload
from landmarks.vector_store.said import NOTHING_SAID, Said
from landmarks.vector_store.store import VectorStore

_HOLDER = "corrections"  # not a lease: a worker's sweep ends what is left half-way
_AT_ONCE = 500
_MOST_LENGTH = 1000  # characters of a label
# Seconds to wait for a worker that is about to write the same photos.
_PATIENCE = 10.0
_PAUSE = 0.1

Change = Callable[[Said], Said]


@dataclass(frozen=True)
class Corrected:
    """The result of a correction.

    `photos` were there to be corrected, in one collection at least. `unread` of them cannot be
    shown again in some collection before their source is indexed again, as it has no vector.
    """

    photos: int
    unread: int = 0


class Corrections:
    """Writes what a person says of photos. It blocks.

    Every method returns how many of the photos there are. It raises NotFoundError if the gallery
    does not exist, or has none of them, and UnavailableError if Qdrant or Redis cannot be reached,
    or an indexing job keeps writing the same photos: the same call can be made again.
    """

    def __init__(self, store: VectorStore, jobs: JobStore, open_writes: OpenWrites) -> None:
        self._collections = store.collections
        self._held = store.held_photos
        self._jobs = jobs
        self._open_writes = open_writes

    def set_label(self, gallery: str, ids: Sequence[UUID], landmark: str) -> Corrected:
        """Label photos by hand; "": they show no landmark.

        Raises InvalidInputError for a label that is blank or too long.
        """
        label = _checked(landmark) if landmark else ""
        return self._change(gallery, ids, lambda said: said.labelled(label))

    def refuse_label(self, gallery: str, ids: Sequence[UUID], landmark: str) -> Corrected:
        """Say that photos do not show a landmark, whatever their source says; raises as above."""
        label = _checked(landmark)
        return self._change(gallery, ids, lambda said: said.refusing(label))

    def take_out(self, gallery: str, ids: Sequence[UUID]) -> Corrected:
        """Take photos out of a gallery, for every job to come; `put_back` undoes it."""
        return self._change(gallery, ids, lambda said: replace(said, taken_out=True))

    def put_back(self, gallery: str, ids: Sequence[UUID]) -> Corrected:
        """Put photos back that were taken out, as they were."""
        return self._change(gallery, ids, lambda said: replace(said, taken_out=False))

    def clear(self, gallery: str, ids: Sequence[UUID]) -> Corrected:
        """Take back all that was said of photos: the source's own labels count again."""
        return self._change(gallery, ids, lambda _: NOTHING_SAID)

    def taken_out(self, gallery: str) -> dict[UUID, Mapping[str, object]]:
        """Return the payloads of the photos that are taken out of a gallery."""
        return {
            one.id: one.payload
            for name in self._names(gallery)
            for one in self._held.kept(name)
            if one.said.taken_out
        }

    def _change(self, gallery: str, ids: Sequence[UUID], change: Change) -> Corrected:
        names = self._names(gallery)
        at = self._jobs.next_generation()
        found: set[UUID] = set()
        unread: set[UUID] = set()
        for some in batched(list(dict.fromkeys(ids)), _AT_ONCE):
            # The newest statement counts, wherever it is: the collections say the same afterwards.
            said = self._said(names, some)
            after = {one: replace(change(what), at=at) for one, what in said.items()}
            for name in names:
                unread |= self._write(name, after)
            found.update(after)
        if not found:
            raise NotFoundError(f"gallery {gallery!r} has none of these {len(ids)} photos")
        return Corrected(len(found), len(unread))

    def _names(self, gallery: str) -> list[str]:
        states = self._collections.states(check_gallery(gallery))
        if not states:
            raise NotFoundError(f"gallery {gallery!r} does not exist")
        return [one.lineage.name for one in states]

    def _said(self, names: Sequence[str], ids: Collection[UUID]) -> dict[UUID, Said]:
        found: dict[UUID, Said] = {}
        for name in names:
            for one, held in self._held.read(name, ids).items():
                if not held.reserved:
                    before = found.get(one, NOTHING_SAID)
                    found[one] = max(before, held.said, key=lambda said: said.at)
        return found

    def _write(self, name: str, said: Mapping[UUID, Said]) -> set[UUID]:
        """Write what is said to one collection; return the photos that it cannot show again."""
        left = set(said)
        unread: set[UUID] = set()
        until = time.monotonic() + _PATIENCE
        while left:
            left, hidden_still = self._try(name, {one: said[one] for one in left})
            unread |= hidden_still
            if left and time.monotonic() > until:
                raise UnavailableError(
                    f"an indexing job keeps writing {len(left)} of these photos in {name}; try"
                    " again"
                )
            if left:
                time.sleep(_PAUSE)
        return unread

    def _try(self, name: str, said: Mapping[UUID, Said]) -> tuple[set[UUID], set[UUID]]:
        """Return the photos that others write, and those without the vector to be shown."""
        there = self._held.read(name, said)
        if not there:
            return set(), set()
        newest = max(one.seen.newest for one in there.values())
        write = self._open_writes.begin(name, _HOLDER, there.keys(), seen=newest, name=new_name())
        if write is None:
            return set(there), set()
        try:
            held = self._held.read(name, there, with_vectors=True)
            before = {one: photo for one, photo in held.items() if not photo.reserved}
            after = {one: corrected(photo, said[one]) for one, photo in before.items()}
            self._held.replace(name, write.generation, before, after)
            now = self._held.read(name, after)
        except LandmarksError:
            with suppress(UnavailableError):
                self._open_writes.keep(write)  # a worker makes the copies equal again
            raise
        self._open_writes.close(write)
        written = {one for one, photo in now.items() if photo.said == said[one]}
        # One whose job is over becomes no photo before it is indexed again.
        reserved = {one for one, photo in held.items() if photo.reserved and self._works(photo)}
        unread = {one for one, photo in after.items() if photo.shown and photo.vector is None}
        return (after.keys() - written) | reserved, unread & written

    def _works(self, photo: HeldPhoto) -> bool:
        """Return whether the work that has reserved a photo's place goes on."""
        return photo.seen.claim is not None and self._jobs.holds(photo.seen.claim.holder)


def corrected(photo: HeldPhoto, said: Said) -> HeldPhoto:
    """Return a photo as it is once this is said of it."""
    payload = replace(PhotoPayload.from_payload(photo.payload), said=said).to_payload()
    after = replace(photo, payload=payload)
    gone = not photo.shown and not photo.said.taken_out  # its file, when its source was pruned
    return replace(after, shown=not said.taken_out and not gone)


def _checked(landmark: str) -> str:
    if not landmark.strip() or len(landmark) > _MOST_LENGTH:
        raise InvalidInputError(
            f"the label {landmark[:_MOST_LENGTH]!r} is blank or longer than {_MOST_LENGTH}"
            " characters; name the landmark, or say that the photo shows none",
            field="landmark",
        )
    return landmark
