"""What a person says of a photo, whatever its source says. Pure.

It is in the payload of the photo's point, in every collection of its gallery, and travels with it:
`landmark` is what searches see, and where something was said, `source_landmark` is the source's own
label, so that it can come back without reading the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

LABEL = "said_landmark"
REFUSED = "said_not"
TAKEN_OUT = "taken_out"
AT = "said_at"
SOURCE_LANDMARK = "source_landmark"

SAID_FIELDS = (LABEL, REFUSED, TAKEN_OUT, AT, SOURCE_LANDMARK)


@dataclass(frozen=True)
class Said:
    """What a person says of a photo.

    `landmark` is the label set by hand: None if none was, "" if the photo shows no landmark.
    `refused` are landmarks that it does not show, sorted. `taken_out`: it is not to be in the
    gallery. `at` is the generation of the statement, which is at least its time in milliseconds
    since 1970; 0: nothing was ever said. Of two statements the later counts, also if it says
    nothing any more.
    """

    landmark: str | None = None
    refused: tuple[str, ...] = ()
    taken_out: bool = False
    at: int = 0

    def shown(self, label: str | None) -> str | None:
        """Return the landmark that searches see of a photo whose source says `label`."""
        if self.landmark is not None:
            return self.landmark or None
        return None if label in self.refused else label

    def labelled(self, landmark: str) -> Self:
        """Return what is said once somebody has set a label; "": it shows no landmark."""
        refused = tuple(one for one in self.refused if one != landmark)
        return replace(self, landmark=landmark, refused=refused)

    def refusing(self, landmark: str) -> Self:
        """Return what is said once somebody has said that it does not show this landmark."""
        label = None if self.landmark == landmark else self.landmark
        refused = tuple(sorted({*self.refused, landmark}))
        return replace(self, landmark=label, refused=refused)

    def to_payload(self, label: str | None) -> dict[str, object]:
        """Return the fields of a payload; none if nothing was ever said."""
        if not self.at:
            return {}
        fields: dict[str, object] = {AT: self.at}
        if self.landmark is not None:
            fields[LABEL] = self.landmark
        if self.refused:
            fields[REFUSED] = list(self.refused)
        if self.taken_out:
            fields[TAKEN_OUT] = True
        if label is not None:
            fields[SOURCE_LANDMARK] = label
        return fields

    @classmethod
    def of(cls, payload: Mapping[str, object]) -> Self:
        """Read the fields of a payload."""
        at, label, refused = payload.get(AT), payload.get(LABEL), payload.get(REFUSED)
        if not isinstance(at, int) or isinstance(at, bool) or at <= 0:
            return cls()  # a manifest of an earlier release may have had columns of these names
        return cls(
            label if isinstance(label, str) else None,
            tuple(map(str, refused)) if isinstance(refused, list) else (),
            payload.get(TAKEN_OUT) is True,
            at,
        )


NOTHING_SAID = Said()


def source_label(payload: Mapping[str, object]) -> str | None:
    """Return the label of a payload's source; raises TypeError if it is not a text."""
    label = payload.get(SOURCE_LANDMARK if Said.of(payload).at else "landmark")
    if label is None or isinstance(label, str):
        return label
    raise TypeError(f"{label!r} is not a text")
