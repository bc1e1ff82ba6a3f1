"""API keys: who may call the search service, what they may change, and in which galleries.

A file has a line for each key: its name, `read` or `write`, the SHA-256 of the key, when it was
created, and `galleries=a,b` if it is limited to galleries. Keys are 256 random bits, which cannot
be guessed, so a slow hash (bcrypt, argon2), as for passwords that people choose, would add nothing.
It would cost milliseconds of every call, of a stranger's too.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path

import structlog
from filelock import lock_descriptor

from landmarks.errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from landmarks.files import replace_file
from landmarks.naming import check_gallery

_log = structlog.get_logger(__name__)

# So that people, and scanners for leaked secrets, recognise a key.
PREFIX = "lmk_"
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_GALLERIES = "galleries="
_HEADER = """\
# API keys of the search service, made with `landmarks keys`: name, read or write, SHA-256 of the
# key, when it was made, and the galleries that it is limited to. The service reads this file again
# when it changes.
"""


class Permission(StrEnum):
    """What a key may do; a key that may write may also read."""

    READ = "read"
    WRITE = "write"

    def allows(self, needed: Permission) -> bool:
        """Return whether this permission includes `needed`."""
        return self is Permission.WRITE or needed is Permission.READ


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored; the key itself cannot be computed from it.

    `galleries`: the only ones it may use; empty for all.
    """

    name: str
    permission: Permission
    digest: str
    created: str
    galleries: frozenset[str] = frozenset()


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, in hex."""
    # Whatever a browser sends has a digest, even bytes that are not text.
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def new_key(name: str, permission: Permission, galleries: Iterable[str] = ()) -> tuple[ApiKey, str]:
    """Return a new key, and its secret, which is shown once; raises InvalidInputError."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"a key cannot be called {name!r}: 1 to 64 letters, digits, '.', '_' and '-', the first"
            " a letter or a digit",
            field="name",
        )
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    limited_to = frozenset(map(check_gallery, galleries))
    return ApiKey(name, permission, digest_of(key), created, limited_to), key


def find(keys: Sequence[ApiKey], presented: str) -> ApiKey:
    """Return the stored key that was presented; raises UnauthenticatedError.

    All keys are compared, each in constant time: the duration reveals nothing about them.
    """
    digest = digest_of(presented)
    found = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    if not presented:
        raise UnauthenticatedError(
            "this service requires an API key; set LANDMARKS_API_KEY, or send it as the metadata"
            " 'authorization: Bearer KEY'"
        )
    if not found:
        raise UnauthenticatedError("the API key is not known here; it may have been revoked")
    return found[0]


def parse(text: str, source: str) -> tuple[ApiKey, ...]:
    """Read keys; raises ConfigurationError that names the line of `source` that is wrong."""
    keys: list[ApiKey] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        words = line.split()
        where = f"{source}, line {number}"
        if len(words) not in (3, 4, 5) or not _NAME.fullmatch(words[0]):
            raise ConfigurationError(
                f"{where}: not a name, read or write, a SHA-256, a time and possibly galleries;"
                " make keys with `landmarks keys create`"
            )
        if words[1] not in list(Permission) or not _DIGEST.fullmatch(words[2]):
            raise ConfigurationError(f"{where}: {words[0]!r} has no permission or no SHA-256")
        if words[0] in {key.name for key in keys}:
            raise ConfigurationError(f"{where}: there are two keys called {words[0]!r}")
        created, galleries = _rest(words[3:], where)
        keys.append(ApiKey(words[0], Permission(words[1]), words[2], created, galleries))
    return tuple(keys)


def _rest(words: Sequence[str], where: str) -> tuple[str, frozenset[str]]:
    """Read the words that a line need not have: the time, and the galleries."""
    times = [word for word in words if not word.startswith(_GALLERIES)]
    limits = [word.removeprefix(_GALLERIES) for word in words if word.startswith(_GALLERIES)]
    try:
        galleries = frozenset(check_gallery(one) for some in limits for one in some.split(","))
    except InvalidInputError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    if len(times) > 1 or len(limits) > 1:  # a second word could be a limit that is misspelt
        raise ConfigurationError(f"{where}: {' '.join(words)!r} is not a time and {_GALLERIES}a,b")
    return "".join(times), galleries


def read(path: Path) -> tuple[ApiKey, ...]:
    """Read the keys of a file; raises ConfigurationError."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def create(path: Path, name: str, permission: Permission, galleries: Iterable[str] = ()) -> str:
    """Add a key to a file, which is created if it does not exist; return the key's secret.

    `galleries`: the only ones that the key may use; all if there are none.

    Raises AlreadyExistsError, InvalidInputError, ConfigurationError.
    """
    key, secret = new_key(name, permission, galleries)
    with _changing(path):
        keys = read(path) if path.exists() else ()
        if name in {one.name for one in keys}:
            raise AlreadyExistsError(
                f"{path} has a key called {name!r}; to rotate it, make one of another name, give"
                " that to its users, and revoke this one"
            )
        _write(path, (*keys, key))
    return secret


def revoke(path: Path, name: str) -> None:
    """Remove a key from a file; raises NotFoundError, ConfigurationError."""
    if not path.exists():
        read(path)  # raises, and creates no folder
    with _changing(path):
        keys = read(path)
        kept = [key for key in keys if key.name != name]
        if len(kept) == len(keys):
            raise NotFoundError(f"{path} has no key called {name!r}")
        _write(path, kept)


@contextmanager
def _changing(path: Path) -> Iterator[None]:
    """Change a file alone; its folder is created if it does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The folder itself is locked: a lock file that root made could not be opened by the owner of
    # the keys, and the file of keys is another one after each change.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        lock_descriptor(folder)
        yield
    finally:
        os.close(folder)


def _write(path: Path, keys: Iterable[ApiKey]) -> None:
    """Replace the file atomically; its mode and owner stay.

    Raises ConfigurationError if the owner cannot stay: the service could no longer read it.
    """
    lines = map(_line, keys)
    before = path.stat() if path.exists() else None
    mode = before.st_mode & 0o777 if before else 0o600

    def write(new: Path) -> None:
        new.touch(0o600)
        new.write_text(_HEADER + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        new.chmod(mode)
        if before:
            os.chown(new, before.st_uid, before.st_gid)

    try:
        replace_file(path, write)
    except PermissionError as error:
        raise ConfigurationError(
            f"{path} belongs to another user, who could no longer read it; change it as"
            " that user, or as root"
        ) from error


def _line(key: ApiKey) -> str:
    words = [key.name, key.permission.value, key.digest, key.created]
    if key.galleries:
        words.append(_GALLERIES + ",".join(sorted(key.galleries)))
    return " ".join(word for word in words if word)


class KeyRing:
    """The current keys of a file, which is checked at each call and read again when it has changed.

    If the file can no longer be read, that is logged, and the previous keys stay valid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stamp_now()
        self._keys = read(path)
        if not self._keys:
            _log.warning("every call is refused: there are no API keys", file=str(path))

    def find(self, presented: str) -> ApiKey:
        """Return the stored key that was presented; raises UnauthenticatedError."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = read(self._path)
                _log.info("API keys read again", keys=[key.name for key in self._keys])
            except ConfigurationError as error:
                _log.error("the previous API keys stay valid", reason=str(error))
        return find(self._keys, presented)

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
