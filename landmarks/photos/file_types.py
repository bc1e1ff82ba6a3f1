"""What a file of a source is, by its name: a photo, or what is skipped and counted."""

from __future__ import annotations

import posixpath
from enum import StrEnum

RAW_EXTENSIONS = frozenset(
    {".dng", ".cr2", ".cr3", ".crw", ".nef", ".arw", ".raf", ".orf", ".rw2", ".kdc"}
)
_PICTURE_EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".mpo"}
) | {".avif", ".heic", ".heif", ".hif", ".jxl", ".jp2", ".j2k", ".jpf"}
IMAGE_EXTENSIONS = _PICTURE_EXTENSIONS | RAW_EXTENSIONS


class SkipReason(StrEnum):
    """Why a file or folder of a source is not taken for photos; the words of the API."""

    SIDECAR = "sidecar"  # a description of a photo beside it
    VIDEO = "video"
    LIVE_PHOTO_VIDEO = "live_photo_video"  # the moving part of a photo beside it
    RAW_BESIDE_PHOTO = "raw_beside_photo"  # another form of the photo of the same name
    DOCUMENT = "document"
    ARCHIVE = "archive"
    HIDDEN = "hidden"
    SYSTEM = "system"
    IGNORED = "ignored"  # by the job's own choice
    OUTSIDE = "outside"  # its path leads out of the source
    OTHER = "other"


_REASONS = {
    SkipReason.SIDECAR: ".xmp .aae .json .thm .pp3 .dop .on1 .cos .xml",
    SkipReason.VIDEO: (
        ".mov .mp4 .m4v .mp .3gp .3g2 .avi .mkv .webm .mpg .mpeg .mts .m2ts .wmv .insv .lrv .mod"
        " .vob .flv .braw"
    ),
    SkipReason.DOCUMENT: (
        ".txt .csv .tsv .md .pdf .doc .docx .xls .xlsx .ppt .pptx .odt .ods .odp .htm .html .rtf"
        " .log .ini .gpx .kml .epub .pages .numbers"
    ),
    SkipReason.ARCHIVE: ".zip .tar .gz .tgz .bz2 .xz .7z .rar .iso .dmg",
}
_BY_EXTENSION = {
    extension: reason for reason, names in _REASONS.items() for extension in names.split()
}
# Of NAS systems, Windows, file systems, desktops, catalogues and macOS' zip files; in lower case.
_SYSTEM_FOLDERS = (
    "@eadir @recycle @sharebin @tmp #recycle #snapshot $recycle.bin recycler lost+found lost.dir"
    " .thumbnails .trash .trashes __macosx"
)
_SYSTEM_FILES = "thumbs.db ehthumbs.db desktop.ini .ds_store .picasa.ini picasa.ini"
_SYSTEM_NAMES = frozenset(
    [*_SYSTEM_FOLDERS.split(), *_SYSTEM_FILES.split(), "system volume information"]
)
_SYSTEM_PREFIXES = ("._", ".trash-")


def folder_reason(name: str) -> SkipReason | None:
    """Return why a folder of this name is not looked into; None if it is."""
    lower = name.lower()
    if lower in _SYSTEM_NAMES or lower.startswith(_SYSTEM_PREFIXES):
        return SkipReason.SYSTEM
    return SkipReason.HIDDEN if name.startswith(".") else None


def file_reason(name: str) -> SkipReason | None:
    """Return why a file of this name, without its folders, is no photo; None if it is one."""
    if reason := folder_reason(name):
        return reason
    extension = extension_of(name)
    if extension in IMAGE_EXTENSIONS:
        return None
    return _BY_EXTENSION.get(extension, SkipReason.OTHER)


def is_photo(path: str) -> bool:
    """Say whether a path is named like a photo, and neither hidden nor of a system."""
    *folders, name = path.split("/")
    return file_reason(name) is None and not any(map(folder_reason, folders))


def extension_of(name: str) -> str:
    """Return the extension of a name, in lower case, with its dot."""
    return posixpath.splitext(name)[1].lower()
