"""Facts in the JSON that Google Takeout puts beside a photo."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from landmarks.photos.metadata.facts import Facts, RefusedError, caption_of
from landmarks.photos.metadata.values import offer_date, place_of

MOST_JSON_BYTES = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def offer_takeout(facts: Facts, data: bytes, now: datetime, *, places: bool) -> None:
    """Offer the time, the place and the description; who is in the photo is not read.

    Raises RefusedError for what is not such JSON.
    """
    if len(data) > MOST_JSON_BYTES:
        raise RefusedError(f"the JSON has more than {MOST_JSON_BYTES} bytes")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"the JSON cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise RefusedError("the JSON is not that of a photo")
    seconds = _part(found, "photoTakenTime").get("timestamp")
    if seconds is not None and "taken" not in facts.values:
        try:
            taken = _EPOCH + timedelta(seconds=int(str(seconds)))
        except (ValueError, OverflowError):
            facts.note(f"photoTakenTime {str(seconds)[:40]!r} is not a time")
        else:
            offer_date(facts, "photoTakenTime", f"{taken:%Y-%m-%dT%H:%M:%S}".zfill(19), "Z", now)
    if places:
        _offer_place(facts, _part(found, "geoData"))
    description = found.get("description")
    if isinstance(description, str):
        facts.offer("caption", lambda: caption_of(description))


def _offer_place(facts: Facts, geo: Mapping[str, object]) -> None:
    latitude, longitude = geo.get("latitude"), geo.get("longitude")
    if not isinstance(latitude, int | float) or not isinstance(longitude, int | float):
        return
    if (latitude, longitude) != (0, 0):  # where no place is known
        facts.offer("place", lambda: place_of(float(latitude), float(longitude)))


def _part(found: Mapping[str, object], name: str) -> Mapping[str, object]:
    part = found.get(name)
    return part if isinstance(part, dict) else {}
