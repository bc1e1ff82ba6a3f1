"""API keys: who may ask the front door for what.

A file has a line for each key: its name, `read` or `write`, the SHA-256 of the key, when it was
made. Keys are 256 random bits, so nobody can try them all, and there is nothing for a slow hash
(bcrypt, argon2) to slow down: those are for passwords that people choose. It would cost every call
its milliseconds, and strangers could make the service pay them.
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

_log = structlog.get_logger(__name__)

# So that scanners for leaked secrets, and people, can tell what it is.
PREFIX = "lmk_"
_RANDOM_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_HEADER = """\
# API keys of the search service, made with `landmarks keys`: name, read or write, SHA-256 of the
# key, when it was made. The service reads this file again when it changes.
"""


class Permission(StrEnum):
    """What a key may do; who may write may read."""

    READ = "read"
    WRITE = "write"

    def allows(self, needed: Permission) -> bool:
        """Return whether what needs `needed` may be done."""
        return self is Permission.WRITE or needed is Permission.READ


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored; what a client sends cannot be made from it."""

    name: str
    permission: Permission
    digest: str
    created: str


def digest_of(key: str) -> str:
    """Return the SHA-256 of a key, in hex."""
    # Whatever a browser sends has a digest, bytes that are no text among it.
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def new_key(name: str, permission: Permission) -> tuple[ApiKey, str]:
    """Return a fresh key, and what its owner is told, once; raises InvalidInputError."""
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            f"a key cannot be called {name!r}: 1 to 64 letters, digits, '.', '_' and '-', the first"
            " a letter or a digit",
            field="name",
        )
    key = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return ApiKey(name, permission, digest_of(key), created), key


def find(keys: Sequence[ApiKey], presented: str) -> ApiKey:
    """Return whose key was presented; raises UnauthenticatedError.

    All keys are compared, each in constant time: how long it takes tells nothing of any of them.
    """
    digest = digest_of(presented)
    found = [key for key in keys if hmac.compare_digest(key.digest, digest)]
    if not presented:
        raise UnauthenticatedError(
            "this service wants an API key; set LANDMARKS_API_KEY, or send it as the metadata"
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
        if len(words) not in (3, 4) or not _NAME.fullmatch(words[0]):
            raise ConfigurationError(
                f"{where}: not a name, read or write, a SHA-256 and a time; make keys with"
                " `landmarks keys create`"
            )
        if words[1] not in list(Permission) or not _DIGEST.fullmatch(words[2]):
            raise ConfigurationError(f"{where}: {words[0]!r} has no permission or no SHA-256")
        if words[0] in {key.name for key in keys}:
            raise ConfigurationError(f"{where}: there are two keys called {words[0]!r}")
        keys.append(ApiKey(words[0], Permission(words[1]), words[2], " ".join(words[3:])))
    return tuple(keys)


def read(path: Path) -> tuple[ApiKey, ...]:
    """Read the keys of a file; raises ConfigurationError."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from error


def create(path: Path, name: str, permission: Permission) -> str:
    """Add a key to a file, which is made if there is none; return what its owner is told.

    Raises AlreadyExistsError, InvalidInputError, ConfigurationError.
    """
    key, told = new_key(name, permission)
    with _changing(path):
        keys = read(path) if path.exists() else ()
        if name in {one.name for one in keys}:
            raise AlreadyExistsError(
                f"{path} has a key called {name!r}; to rotate it, make one of another name, give"
                " that to whoever uses it, and revoke this one"
            )
        _write(path, (*keys, key))
    return told


def revoke(path: Path, name: str) -> None:
    """Take a key out of a file; raises NotFoundError, ConfigurationError."""
    if not path.exists():
        read(path)  # which says so, and makes no folder
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
    """Replace the file as a whole, so that nobody reads half of it; its mode and owner stay.

    Raises ConfigurationError where the owner cannot stay: the service could not read it any more.
    """
    lines = [f"{key.name} {key.permission} {key.digest} {key.created}".strip() for key in keys]
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
            f"{path} belongs to another user, who could not read it any more; change it as that"
            " user, or as root"
        ) from error


class KeyRing:
    """The keys of a file as it is now: looked at for each call, read again when it has changed.

    A file that cannot be read any more is logged, and the keys before it stay valid.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._look()
        self._keys = read(path)
        if not self._keys:
            _log.warning("nobody may call: there are no API keys", file=str(path))

    def find(self, presented: str) -> ApiKey:
        """Return whose key was presented; raises UnauthenticatedError."""
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = read(self._path)
                _log.info("API keys read again", keys=[key.name for key in self._keys])
            except ConfigurationError as error:
                _log.error("the API keys before stay valid", reason=str(error))
        return find(self._keys, presented)

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
