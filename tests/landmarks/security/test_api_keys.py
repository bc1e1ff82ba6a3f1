"""API keys in a file, and the command that makes them."""

from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from landmarks.errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
)
from landmarks.security import api_keys
from landmarks.security.api_keys import KeyRing, Permission
from landmarks_tools.cli.app import app

READ, WRITE = Permission.READ, Permission.WRITE


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def test_the_file_never_holds_a_key(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    text = file.read_text()
    assert key not in text
    assert key.removeprefix("lmk_")[:8] not in text
    assert "app read" in text


def test_the_folder_of_a_new_file_is_made_too(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "landmarks" / "keys"
    key = api_keys.create(file, "app", READ)
    assert api_keys.find(api_keys.read(file), key).name == "app"


def test_no_two_keys_are_alike_and_each_is_of_256_bits(file: Path) -> None:
    keys = {api_keys.create(file, f"app-{n}", READ) for n in range(20)}
    assert len(keys) == 20
    assert all(len(key) == len("lmk_") + 43 for key in keys)


def test_only_its_owner_can_read_a_new_file_and_an_old_one_keeps_its_mode(file: Path) -> None:
    api_keys.create(file, "one", READ)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o640)
    api_keys.create(file, "two", READ)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(file.parent.iterdir()) == [file]


def test_who_may_write_may_read_and_not_the_other_way_round() -> None:
    assert [WRITE.allows(READ), WRITE.allows(WRITE)] == [True, True]
    assert [READ.allows(READ), READ.allows(WRITE)] == [True, False]


def test_a_key_is_rotated_with_two_that_are_valid_at_once(file: Path) -> None:
    old = api_keys.create(file, "app-1", READ)
    ring = KeyRing(file)
    new = api_keys.create(file, "app-2", WRITE)
    assert [ring.find(old).name, ring.find(new).name] == ["app-1", "app-2"]
    api_keys.revoke(file, "app-1")
    with pytest.raises(UnauthenticatedError, match="revoked"):
        ring.find(old)
    assert ring.find(new).permission is WRITE


def test_a_file_that_is_damaged_later_leaves_the_previous_keys_valid(file: Path) -> None:
    key = api_keys.create(file, "app", READ)
    ring = KeyRing(file)
    file.write_text("nonsense\n")
    assert ring.find(key).name == "app"
    file.unlink()
    assert ring.find(key).name == "app"
    other = api_keys.create(file, "other", READ)
    assert ring.find(other).name == "other"
    with pytest.raises(UnauthenticatedError):
        ring.find(key)


@pytest.mark.parametrize("presented", ["", "lmk_", "app", "read", "\x00", "ключ", "\udcff"])
def test_what_is_no_key_opens_nothing(file: Path, presented: str) -> None:
    api_keys.create(file, "app", READ)
    with pytest.raises(UnauthenticatedError):
        KeyRing(file).find(presented)


def test_the_digest_in_the_file_is_no_key(file: Path) -> None:
    api_keys.create(file, "app", READ)
    (stored,) = api_keys.read(file)
    with pytest.raises(UnauthenticatedError):
        KeyRing(file).find(stored.digest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("app", "line 1: not a name"),
        ("# keys\n\nap/p read " + "0" * 64, "line 3: not a name"),
        ("app admin " + "0" * 64, "line 1: 'app' has no permission"),
        ("app read 1234", "line 1: 'app' has no permission or no SHA-256"),
        (f"app read {'0' * 64}\napp write {'1' * 64}", "line 2: there are two keys called 'app'"),
    ],
)
def test_a_wrong_line_is_named(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        KeyRing(file)


def test_without_the_file_there_is_no_start(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        KeyRing(file)


def test_names_that_are_taken_unknown_or_impossible_are_refused(file: Path) -> None:
    api_keys.create(file, "app", READ)
    with pytest.raises(AlreadyExistsError, match="revoke this one"):
        api_keys.create(file, "app", WRITE)
    with pytest.raises(NotFoundError, match="'other'"):
        api_keys.revoke(file, "other")
    for name in ("", "two words", "-x", "x" * 65, "a\nb"):
        with pytest.raises(InvalidInputError):
            api_keys.create(file, name, READ)


def run(*arguments: str, file: Path) -> str:
    result = CliRunner().invoke(
        app, ["keys", *arguments], env={**os.environ, "LANDMARKS_API_KEYS_FILE": str(file)}
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_makes_lists_and_revokes(file: Path) -> None:
    key = run("create", "phone", "--write", file=file).strip()
    run("create", "wall", file=file)
    assert KeyRing(file).find(key).permission is WRITE
    listed = json.loads(run("list", "--json", file=file))
    assert [(one["name"], one["permission"]) for one in listed] == [
        ("phone", "write"),
        ("wall", "read"),
    ]
    assert key not in run("list", file=file)
    run("revoke", "phone", file=file)
    assert "phone" not in run("list", file=file)


def test_a_key_is_limited_to_galleries_and_stays_so(file: Path) -> None:
    limited = run("create", "museum", "-g", "zoo", "--gallery", "art", file=file).strip()
    free = run("create", "wall", file=file).strip()
    api_keys.create(file, "later", READ)  # writes all lines again
    ring = KeyRing(file)
    assert ring.find(limited).galleries == {"art", "zoo"}
    assert ring.find(free).galleries == frozenset()
    listed = json.loads(run("list", "--json", file=file))
    assert [one["galleries"] for one in listed] == [["art", "zoo"], [], []]
    lines = run("list", file=file).splitlines()[1:]
    assert [line.rstrip().rpartition("  ")[2] for line in lines] == ["art, zoo", "all", "all"]


@pytest.mark.parametrize(
    "limit",
    ["galleries=", "galleries=a,", "galleries=A", "gallery=a", "galleries=a galleries=b", "a,b"],
)
def test_a_limit_that_cannot_be_read_is_an_error_and_never_no_limit(file: Path, limit: str) -> None:
    api_keys.create(file, "app", READ)
    file.write_text(file.read_text().rstrip() + f" {limit}\n")
    with pytest.raises(ConfigurationError, match="line 4"):
        api_keys.read(file)


def test_a_key_cannot_be_limited_to_what_no_gallery_is_called(file: Path) -> None:
    for gallery in ("", "A b", "*"):
        with pytest.raises(InvalidInputError, match="gallery"):
            api_keys.create(file, "app", READ, [gallery])
    assert not file.exists()


def test_changes_at_once_lose_no_key(file: Path) -> None:
    names = [f"app-{n}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: api_keys.create(file, name, READ), names))
    assert {key.name for key in api_keys.read(file)} == set(names)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: api_keys.revoke(file, name), names[1:]))
    assert [key.name for key in api_keys.read(file)] == names[:1]


@pytest.mark.needs(user="root")
def test_a_file_stays_its_owners(file: Path) -> None:
    api_keys.create(file, "one", READ)
    os.chown(file, 10001, 10001)
    api_keys.create(file, "two", READ)
    api_keys.revoke(file, "one")
    assert (file.stat().st_uid, file.stat().st_gid) == (10001, 10001)


def test_a_file_that_would_change_its_owner_is_left_alone(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api_keys.create(file, "one", READ)
    before = file.read_text()

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chown", refuse)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        api_keys.revoke(file, "one")
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]
