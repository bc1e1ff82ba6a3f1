"""The choices of decoding that change vectors. They are part of an encoder's digest.

Pixels of one revision are not pixels of another, so an encoder serves both until the galleries of
the earlier one are made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class DecodingRules:
    """One revision's rules. `colour_profiles`: embedded profiles are converted to sRGB."""

    colour_profiles: bool

    def settings(self) -> Mapping[str, bool]:
        """Return what goes into a digest: nothing for the first revision, which had no rules."""
        return {name: value for name, value in asdict(self).items() if value}


NEWEST = DecodingRules(colour_profiles=True)
PREVIOUS = DecodingRules(colour_profiles=False)
"""As galleries were made until release 0.1; the next release drops it."""
