"""Bad input through the whole stack with a real encoder: what is said, and that all goes on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.code_pb2 import Code

from landmarkapi.encoder.v1 import encoder_pb2
from landmarkapi.encoder.v1.encoder_pb2_grpc import EncoderServiceStub
from landmarks.client import Landmarks
from landmarks.errors import InvalidInputError, InvalidPhotoError, NotFoundError
from landmarks.rpc.status import status_of
from landmarks.settings import DEFAULT_MAX_PHOTO_BYTES
from landmarks_tools.cli.output import ExitCode
from tests.support.bad_input import JPEG, ODD, bad_photos
from tests.support.local_stack import Stack

pytestmark = pytest.mark.integration

BAD = bad_photos(DEFAULT_MAX_PHOTO_BYTES)
GALLERY = "care"
UNKNOWN_POINT = "6f1c6b6d-4a11-5d7e-9b57-0d0f7c0e5a0b"
DIMENSION = 128


@pytest.fixture(scope="module")
def job(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A folder with every bad and every odd photo, indexed to its end."""
    folder = tmp_path_factory.mktemp("care") / "tower"
    folder.mkdir()
    for number, (data, _) in enumerate(BAD.values()):
        (folder / f"bad-{number}.jpg").write_bytes(data)
    for number, (data, _) in enumerate(ODD.values()):
        (folder / f"odd-{number}.png").write_bytes(data)
    result = stack.run("index", folder.parent, "--gallery", GALLERY, "--wait")
    assert result.returncode == ExitCode.DEAD_LETTERS, result.stdout + result.stderr
    found: dict[str, Any] = stack.json("jobs")[0]
    return found


def test_bad_photos_become_dead_letters_with_their_reasons_and_the_rest_is_indexed(
    stack: Stack, job: dict[str, Any]
) -> None:
    (progress,) = job["progress"]
    counts = {name: int(progress[name]) for name in ("listed", "stored", "dead", "unchanged")}
    assert counts == {
        "listed": len(BAD) + len(ODD), "stored": len(ODD), "dead": len(BAD), "unchanged": 0
    }  # fmt: skip
    heads, row = (line.split() for line in stack.run("jobs").stdout.splitlines())
    assert dict(zip(heads, row, strict=False))["dead"] == str(len(BAD))
    letters = stack.json("jobs", job["id"], "--dead-letters")
    reasons = {letter["path"]: letter["reason"] for letter in letters}
    for number, (_, said) in enumerate(BAD.values()):
        reason = reasons[f"tower/bad-{number}.jpg"]
        assert said in reason or said.replace(",", "") in reason, reason


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_is_refused_in_words_and_the_next_good_one_is_answered(
    stack: Stack, job: dict[str, Any], name: str
) -> None:
    photo, said = BAD[name]
    with Landmarks(stack.server) as client:
        with pytest.raises(InvalidPhotoError) as caught:
            client.search(photo=photo, gallery=GALLERY)
        assert said in str(caught.value)
        assert status_of(caught.value).code == Code.INVALID_ARGUMENT
        assert client.search(photo=JPEG, gallery=GALLERY, limit=1).fused


def test_a_photo_over_the_cap_of_a_message_is_no_overload(
    stack: Stack, job: dict[str, Any]
) -> None:
    with Landmarks(stack.server) as client, pytest.raises(InvalidInputError, match="too large"):
        client.search(photo=bytes(170_000_000), gallery=GALLERY)


@pytest.mark.parametrize("name", ODD)
def test_an_odd_photo_gets_the_vector_of_its_plain_copy(stack: Stack, name: str) -> None:
    address = f"127.0.0.1:{stack.ports['LANDMARKS_ENCODER_PORT']}"
    with grpc.insecure_channel(address) as channel:
        encoder = EncoderServiceStub(channel)
        one, other = (
            np.array(
                encoder.Encode(encoder_pb2.EncodeRequest(photo=photo), timeout=30).embedding.values
            )
            for photo in ODD[name]
        )
    # A palette and GIF have 256 colours, and CMYK rounds: a real network sees the difference.
    bound = 0.999 if name in ("EXIF orientation 6", "16-bit", "opaque RGBA") else 0.97
    assert float(one @ other) > bound


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"limit": 0}, InvalidInputError, "limit is 0; it must be 1 to 1000"),
        ({"limit": -1}, InvalidInputError, "limit is -1"),
        ({"limit": 100_000}, InvalidInputError, "limit is 100000"),
        ({"offset": -1}, InvalidInputError, "offset is -1"),
        ({"models": ["resnet"]}, NotFoundError, "resnet"),
        ({"gallery": "nowhere"}, NotFoundError, "nowhere"),
        ({"photo": None, "point_id": UNKNOWN_POINT}, NotFoundError, UNKNOWN_POINT),
        ({"photo": None, "point_id": "7"}, InvalidInputError, "not a UUID"),
        ({"photo": None, "vector": ("scratch", [1.0] * 5)}, InvalidInputError, "has 5 values"),
        (
            {"photo": None, "vector": ("scratch", [float("nan")] * DIMENSION)},
            InvalidInputError,
            "NaN",
        ),
        ({"photo": None, "vector": ("scratch", [0.0] * DIMENSION)}, InvalidInputError, "zeros"),
    ],
)
def test_a_request_that_cannot_be_answered_names_what_and_why(
    stack: Stack,
    job: dict[str, Any],
    change: Mapping[str, Any],
    kind: type[Exception],
    said: str,
) -> None:
    request = {"photo": JPEG, "gallery": GALLERY, **change}
    with Landmarks(stack.server) as client:
        with pytest.raises(kind) as caught:
            client.search(**request)
        assert said in str(caught.value)
        assert client.search(photo=JPEG, gallery=GALLERY, limit=1).fused


@pytest.mark.parametrize(
    ("text", "said"),
    [("file,landmark\na.jpg,x\n", "path"), ("path,place\na.jpg,x\n", "landmark")],
    ids=["no path", "no landmark"],
)
def test_a_manifest_without_a_column_it_needs_starts_no_job(
    stack: Stack, tmp_path: Path, text: str, said: str
) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(text)
    result = stack.run("index", manifest, "--gallery", GALLERY)
    assert result.returncode == ExitCode.USAGE
    assert said in result.stderr


def test_an_empty_folder_starts_no_job(stack: Stack, tmp_path: Path) -> None:
    result = stack.run("index", tmp_path, "--gallery", GALLERY)
    assert result.returncode == ExitCode.USAGE
    assert "no photo" in result.stderr


def test_a_manifests_bad_rows_are_accounted_for_and_the_good_one_is_indexed(
    stack: Stack, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    (root / "a[").mkdir(parents=True)
    (root / "a[/b].jpg").write_bytes(JPEG)  # a name that a terminal's markup would trip over
    (tmp_path / "outside.jpg").write_bytes(JPEG)
    rows = ["a[/b].jpg,x", "a[/b].jpg,x", "gone.jpg,x", "../outside.jpg,x"]
    (root / "manifest.csv").write_text("path,landmark\n" + "\n".join(rows) + "\n")
    result = stack.run("index", root / "manifest.csv", "--gallery", "rows", "--wait")
    assert result.returncode == ExitCode.DEAD_LETTERS, result.stderr
    job = stack.json("jobs")[0]
    (progress,) = job["progress"]
    counts = [int(progress[name]) for name in ("listed", "stored", "duplicate", "dead")]
    assert counts == [4, 1, 1, 2]
    reasons = {
        letter["path"]: letter["reason"]
        for letter in stack.json("jobs", job["id"], "--dead-letters")
    }
    assert "does not exist" in reasons["gone.jpg"]
    assert "climbs out" in reasons["../outside.jpg"]
    listed = stack.run("search", root / "a[/b].jpg", "--gallery", "rows")
    assert "a[/b].jpg" in listed.stdout
