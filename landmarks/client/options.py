"""Checks the named options of a call, of which Python itself checks no names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from landmarks.errors import InvalidInputError


def check_options(kind: type, given: Mapping[str, object], required: Iterable[str] = ()) -> None:
    """Raise InvalidInputError for an option that is missing, or that `kind` does not have.

    `kind` is a TypedDict. An unknown option would be passed over in silence, `dryrun` too.
    """
    known = kind.__annotations__
    for name in given:
        if name not in known:
            raise InvalidInputError(
                f"there is no option {name!r}; there are: {', '.join(known)}", field=name
            )
    for name in required:
        if given.get(name) is None:
            raise InvalidInputError(f"the argument {name!r} is missing", field=name)
    for name, value in given.items():
        if isinstance(value, str) and "Sequence[str]" in str(known[name]):
            raise InvalidInputError(
                f"{name} is the text {value!r}; give a list of texts, such as [{value!r}]",
                field=name,
            )
