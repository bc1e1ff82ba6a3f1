"""Facts in XMP, inside a photo or in a sidecar.

Source: ISO 16684-1 and Adobe's XMP part 2. The XML is read by expat, without a document type and so
without entities, and only so many elements of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from xml.parsers import expat

from landmarks.photos.metadata.facts import Facts, RefusedError, caption_of, clean, keywords_of
from landmarks.photos.metadata.values import camera_of, offer_date, place_of, rating_of, xmp_degrees

MOST_XMP_BYTES = 4 * 1024 * 1024
_MOST_ELEMENTS, _MOST_DEPTH, _MOST_VALUES = 50_000, 100, 1000
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns# "
_ROOT, _DESCRIPTION, _ITEM = f"{_RDF}RDF", f"{_RDF}Description", f"{_RDF}li"
_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_EXIF = "http://ns.adobe.com/exif/1.0/ "
_NEWER_EXIF = "http://cipa.jp/exif/1.0/ "
_BASIC = "http://ns.adobe.com/xap/1.0/ "
_TIFF = "http://ns.adobe.com/tiff/1.0/ "
_AUX = "http://ns.adobe.com/exif/1.0/aux/ "
_CORE = "http://purl.org/dc/elements/1.1/ "
_PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/ "
_ORIGINAL, _CREATED = f"{_EXIF}DateTimeOriginal", f"{_PHOTOSHOP}DateCreated"
_DIGITIZED = f"{_BASIC}CreateDate"
_LATITUDE, _LONGITUDE = f"{_EXIF}GPSLatitude", f"{_EXIF}GPSLongitude"
_MAKE, _MODEL = f"{_TIFF}Make", f"{_TIFF}Model"
_LENSES = (f"{_NEWER_EXIF}LensModel", f"{_AUX}Lens")
_SERIALS = (f"{_NEWER_EXIF}BodySerialNumber", f"{_AUX}SerialNumber")
_CAPTION, _KEYWORDS = f"{_CORE}description", f"{_CORE}subject"
_RATING = f"{_BASIC}Rating"
_WANTED = frozenset(
    {_ORIGINAL, _CREATED, _DIGITIZED, _LATITUDE, _LONGITUDE, _MAKE, _MODEL}
    | {*_LENSES, *_SERIALS, _CAPTION, _KEYWORDS, _RATING}
)

Xmp = Mapping[str, list[str]]


def read_xmp(data: bytes) -> Xmp:
    """Return the values of the properties that facts are read from.

    Raises RefusedError for what is not XMP, has a document type, or is larger than a photo's.
    """
    if len(data) > MOST_XMP_BYTES:
        raise RefusedError(f"the XMP has more than {MOST_XMP_BYTES} bytes")
    reader = _Reader()
    try:
        reader.parser.Parse(data.strip(b"\0 \r\n\t"), True)
    except expat.ExpatError as error:
        raise RefusedError(f"the XMP cannot be read: {error}") from None
    return reader.found


class _Reader:
    """Collects wanted properties of the descriptions, whether attributes, texts or lists."""

    def __init__(self) -> None:
        self.found: defaultdict[str, list[str]] = defaultdict(list)
        self.parser = parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._refuse
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        self._above: list[str] = []
        self._elements = 0
        self._property = ""  # that is open
        self._is_default = False
        self._has_items = False
        self._parts: list[str] = []

    def _refuse(self, *_: object) -> None:
        raise RefusedError("the XMP has a document type, which is not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _MOST_ELEMENTS or len(self._above) > _MOST_DEPTH:
            raise RefusedError("the XMP has more elements than a photo's")
        above = self._above
        if name == _DESCRIPTION and above and above[-1] == _ROOT:
            for key in _WANTED & attributes.keys():
                self._keep(key, attributes[key])
        elif name in _WANTED and above[-2:] == [_ROOT, _DESCRIPTION]:
            self._property, self._has_items, self._parts = name, False, []
        elif name == _ITEM and self._property:
            self._has_items, self._parts = True, []
            self._is_default = attributes.get(_LANGUAGE) == "x-default"
        above.append(name)

    def _end(self, name: str) -> None:
        self._above.pop()
        if not self._property:
            return
        if name == _ITEM:
            self._keep(self._property, "".join(self._parts), first=self._is_default)
        elif name == self._property:
            if not self._has_items:
                self._keep(name, "".join(self._parts))
            self._property = ""

    def _text(self, text: str) -> None:
        if self._property:
            self._parts.append(text)

    def _keep(self, name: str, value: str, *, first: bool = False) -> None:
        values = self.found[name]
        if value.strip() and len(values) < _MOST_VALUES:
            values.insert(0 if first else len(values), value.strip())


def offer_xmp_dates(facts: Facts, xmp: Xmp, now: datetime) -> None:
    """Offer the time when the photo was taken, or its original was made."""
    for name in (_ORIGINAL, _CREATED):
        offer_date(facts, name.rpartition(" ")[2], _first(xmp, name), "", now)


def offer_xmp_other_dates(facts: Facts, xmp: Xmp, now: datetime) -> None:
    """Offer when it was digitised."""
    offer_date(facts, "CreateDate", _first(xmp, _DIGITIZED), "", now)


def offer_xmp(facts: Facts, xmp: Xmp, *, places: bool, serials: bool) -> None:
    """Offer the other facts."""
    facts.offer("camera", lambda: camera_of(_first(xmp, _MAKE), _first(xmp, _MODEL)))
    facts.offer("lens", lambda: clean(_first(xmp, *_LENSES)))
    facts.offer("caption", lambda: caption_of(_first(xmp, _CAPTION)))
    facts.offer("keywords", lambda: keywords_of(xmp.get(_KEYWORDS, [])))
    latitude, longitude = _first(xmp, _LATITUDE), _first(xmp, _LONGITUDE)
    if places and latitude and longitude:
        facts.offer("place", lambda: place_of(xmp_degrees(latitude), xmp_degrees(longitude)))
    if rating := _first(xmp, _RATING):
        facts.offer("rating", lambda: rating_of(rating))
    if serials:
        facts.offer("serial", lambda: clean(_first(xmp, *_SERIALS)))


def _first(xmp: Xmp, *names: str) -> str:
    return next((xmp[name][0] for name in names if xmp.get(name)), "")
