"""What a job indexes. Imports no engine."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Self

from landmarks.errors import InvalidInputError
from landmarks.naming import check_gallery, check_model
from landmarks.photos.labels import ListingRules

FLAGS = ("prune", "prune_confirmed", "dry_run", "verify", "raw_too")
_MAX_SOURCE_LENGTH = 4096
_MAX_NAME_LENGTH = 128


class JobKind(StrEnum):
    """What a job does; the words of the API's `JobKind`."""

    INDEX = "index"
    REINDEX = "reindex"
    CALIBRATE = "calibrate"
    MAP = "map"
    CHECK = "check"
    REPAIR = "repair"


@dataclass(frozen=True)
class ReindexOptions:
    """When a rebuilt collection is promoted.

    `queries` is a labelled manifest (with `splits`, if any are given): the new collection is
    promoted only if its mAP@100 is not lower than that of the live one by more than `margin`.
    Without `queries` it is promoted unconditionally.
    """

    queries: str = ""
    splits: tuple[str, ...] = ()
    margin: float = 0.0

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Self:
        """Read the options from JSON values; raises InvalidInputError."""
        margin = values.get("margin") or 0.0
        if not isinstance(margin, (int, float)):
            raise InvalidInputError(f"margin is {margin!r}, which is not a number", field="margin")
        return cls(_text(values, "queries"), _texts(values, "splits"), float(margin))


@dataclass(frozen=True)
class IndexSpec:
    """What a job indexes. `source_name` stands for the source in points' ids; may be empty.

    `prune`: points of the source and splits whose photos are gone are deleted, if they are few or
    `prune_confirmed`. `dry_run`: nothing is encoded or written, and the counts say what would be.
    `verify`: every photo is read, even if its size and time say that it has not changed. With
    `reindex`, the job indexes the photos of the live collection instead of a source, into a new
    collection for a newer encoder. Jobs of the kinds CALIBRATE and MAP index nothing: they read the
    live collections of the models; the source of a CALIBRATE job, if it has one, holds photos of
    landmarks that the gallery lacks. The source of a CHECK or REPAIR job is the collection whose
    copies are compared; `delete_unclear` is for a REPAIR job, see `CopyRepair`. `label`, `ignore`
    and `raw_too` say how a folder is listed, see `ListingRules`.
    """

    gallery: str
    source: str
    models: tuple[str, ...]
    splits: tuple[str, ...] = ()
    source_name: str = ""
    prune: bool = False
    prune_confirmed: bool = False
    dry_run: bool = False
    verify: bool = False
    reindex: ReindexOptions | None = None
    kind: JobKind = JobKind.INDEX
    delete_unclear: bool = False
    label: str = ""
    ignore: tuple[str, ...] = ()
    raw_too: bool = False

    @property
    def rules(self) -> ListingRules:
        """How a folder is listed."""
        return ListingRules(self.label, self.ignore, self.raw_too)

    def to_json(self) -> str:
        """Return the spec as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what `to_json` returned."""
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: Mapping[str, object]) -> Self:
        """Read a spec from JSON values; raises InvalidInputError for one of a wrong type."""
        again = values.get("reindex")
        kind = JobKind.REINDEX if isinstance(again, Mapping) else JobKind.INDEX
        return cls(
            gallery=_text(values, "gallery"),
            source=_text(values, "source"),
            models=_texts(values, "models"),
            splits=_texts(values, "splits"),
            source_name=_text(values, "source_name"),
            **{name: _flag(values, name) for name in FLAGS},
            reindex=ReindexOptions.from_values(again) if isinstance(again, Mapping) else None,
            kind=JobKind(_text(values, "kind") or kind),
            delete_unclear=_flag(values, "delete_unclear"),
            label=_text(values, "label"),
            ignore=_texts(values, "ignore"),
        )


def checked_spec(spec: IndexSpec, known_models: Collection[str]) -> IndexSpec:
    """Return the spec if all its fields are valid; no models means all known ones.

    Raises InvalidInputError that names the field, what is wrong and what would be right.
    """
    check_gallery(spec.gallery)
    if not spec.source or len(spec.source) > _MAX_SOURCE_LENGTH:
        raise InvalidInputError(
            "the source is missing: the path or URI of a folder or a manifest"
            if not spec.source
            else f"the source is longer than {_MAX_SOURCE_LENGTH} characters",
            field="source",
        )
    if "/" in spec.source_name or len(spec.source_name) > _MAX_NAME_LENGTH:
        raise InvalidInputError(
            f"the source name {spec.source_name[:_MAX_NAME_LENGTH]!r} has a / or more than"
            f" {_MAX_NAME_LENGTH} characters",
            field="source_name",
        )
    spec.rules.check()
    models = tuple(dict.fromkeys(spec.models)) or tuple(known_models)
    for model in models:
        check_model(model)
        if model not in known_models:
            known = ", ".join(sorted(known_models)) or "none"
            raise InvalidInputError(
                f"there is no encoder for the model {model!r}; there are: {known}", field="models"
            )
    if not models:
        raise InvalidInputError(
            "no model is named and none is known; LANDMARKS_ENCODERS says where encoders are",
            field="models",
        )
    splits = tuple(dict.fromkeys(spec.splits))
    ignore = tuple(dict.fromkeys(spec.ignore))
    return replace(spec, models=models, splits=splits, ignore=ignore)


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is {value!r}, which is not a text", field=name)
    return value


def _flag(values: Mapping[str, object], name: str) -> bool:
    value = values.get(name)
    if value not in (None, True, False):
        raise InvalidInputError(f"{name} is {value!r}, which is not true or false", field=name)
    return bool(value)


def _texts(values: Mapping[str, object], name: str) -> tuple[str, ...]:
    value = values.get(name)
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise InvalidInputError(f"{name} is {value!r}, which is not a list of texts", field=name)
    if not all(isinstance(item, str) for item in value):
        raise InvalidInputError(f"{name} has an item that is not a text", field=name)
    return tuple(value)
