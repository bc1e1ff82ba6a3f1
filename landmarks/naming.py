"""Names of collections: one per gallery and model, and an alias that says which one is live."""

from __future__ import annotations

import re
from dataclasses import dataclass

from landmarks.errors import InvalidInputError

SEPARATOR = "__"
MAX_NAME_LENGTH = 64
_DIGEST_LENGTH = 8

# `_` and `-` join words and never stand twice in a row, so `__` always separates the parts.
_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{8,}")


@dataclass(frozen=True)
class CollectionName:
    """The parts of a collection's name."""

    gallery: str
    model: str
    digest8: str

    def __str__(self) -> str:
        return SEPARATOR.join((self.gallery, self.model, self.digest8))


def check_gallery(gallery: str) -> str:
    """Return a gallery's name as it is.

    Raises InvalidInputError if it is not 1 to 64 of a-z and 0-9, with single `_` or `-` between.
    """
    return _checked(gallery, "gallery")


def check_model(model: str) -> str:
    """Return a model's name as it is; raises InvalidInputError as `check_gallery`."""
    return _checked(model, "model")


def collection_name(gallery: str, model: str, digest: str) -> str:
    """Return the name of the collection of `gallery` for the encoder with `digest` (hex)."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidInputError(
            f"the digest {digest!r} is not at least {_DIGEST_LENGTH} hexadecimal digits",
            field="digest",
        )
    name = CollectionName(check_gallery(gallery), check_model(model), digest[:_DIGEST_LENGTH])
    return str(name)


def alias_name(gallery: str, model: str) -> str:
    """Return the name of the alias that points at the live collection."""
    return SEPARATOR.join((check_gallery(gallery), check_model(model)))


def parse_collection_name(name: str) -> CollectionName | None:
    """Return the parts of a collection's name, or None for a name that is not one of ours."""
    parts = name.split(SEPARATOR)
    if len(parts) != 3:
        return None
    gallery, model, digest = parts
    well_formed = _is_name(gallery) and _is_name(model) and len(digest) == _DIGEST_LENGTH
    if not well_formed or not _DIGEST.fullmatch(digest):
        return None
    return CollectionName(gallery, model, digest)


def parse_alias_name(name: str) -> tuple[str, str] | None:
    """Return gallery and model of an alias, or None for a name that is not one of ours."""
    gallery, separator, model = name.partition(SEPARATOR)
    if not separator or not _is_name(gallery) or not _is_name(model):
        return None
    return gallery, model


def _is_name(text: str) -> bool:
    return len(text) <= MAX_NAME_LENGTH and _NAME.fullmatch(text) is not None


def _checked(name: str, field: str) -> str:
    if not _is_name(name):
        raise InvalidInputError(
            f"the {field} {name!r} is not a name: 1 to {MAX_NAME_LENGTH} of a-z and 0-9,"
            " with single _ or - between them",
            field=field,
        )
    return name
