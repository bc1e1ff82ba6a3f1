"""Embeddings by a real encoder: kept by digest and bytes, and the same wherever they come from."""

import hashlib
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import structlog

from encoder_service.loader import load_encoder
from encoder_service.settings import EncoderSettings
from landmarks.errors import InvalidInputError, NotFoundError
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits
from landmarks.retrieval.labelled_photos import LabelledPhoto
from landmarks_tools.evaluation import embeddings as under_test
from landmarks_tools.evaluation.embedding_cache import EmbeddingCache
from landmarks_tools.evaluation.embeddings import embeddings
from tests.support.files import cache_of_its_own
from tests.support.photos import drawn_photo, saved

pytestmark = pytest.mark.integration

MODEL = "scratch"


@pytest.fixture
def settings(tmp_path: Path) -> EncoderSettings:
    return EncoderSettings.load(
        {"cache_dir": cache_of_its_own(tmp_path / "cache"), "batch_size": 4}
    )


def drawn(folder: Path, seed: int, name: str = "") -> LabelledPhoto:
    name = name or f"{seed}.jpg"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(saved(drawn_photo(seed=seed), "JPEG"))
    return LabelledPhoto(path, name, f"landmark {seed}", "", {})


@pytest.fixture
def photos(tmp_path: Path) -> list[LabelledPhoto]:
    return [drawn(tmp_path / "photos", seed) for seed in range(10)]


def embedded_now(photos: list[LabelledPhoto], settings: EncoderSettings) -> list[int]:
    """Return how many photos were embedded, as reported by the progress."""
    totals: list[int] = []
    embeddings(MODEL, photos, settings, lambda done, total: totals.append(total))
    return totals


def test_rows_are_those_of_the_encoder_one_photo_at_a_time(
    photos: list[LabelledPhoto], settings: EncoderSettings
) -> None:
    large = drawn_photo(1600, 1200, seed=20)  # so large that it is scaled down while decoding
    photos[0].path.write_bytes(saved(large, "JPEG"))
    rows = embeddings(MODEL, photos, settings)
    encoder = load_encoder(MODEL, settings)
    limits = PhotoLimits(settings.max_photo_bytes, settings.max_photo_pixels)
    assert (rows.shape, rows.dtype) == ((10, encoder.spec.dimension), np.float32)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    for photo, row in zip(photos, rows, strict=True):
        image = decode(photo.path.read_bytes(), limits, encoder.spec.decode_size).image
        alone = encoder.embed(encoder.preprocess(image)[None])[0]
        np.testing.assert_allclose(row, alone, atol=1e-6)


def test_a_row_is_the_same_to_the_last_bit_from_the_cache_and_in_any_company(
    photos: list[LabelledPhoto], settings: EncoderSettings, tmp_path: Path
) -> None:
    rows = embeddings(MODEL, photos, settings)
    np.testing.assert_array_equal(embeddings(MODEL, photos, settings), rows)
    elsewhere = settings.model_copy(update={"cache_dir": cache_of_its_own(tmp_path / "another")})
    np.testing.assert_array_equal(embeddings(MODEL, photos[7:8], elsewhere), rows[7:8])
    np.testing.assert_array_equal(embeddings(MODEL, photos[::-1], elsewhere), rows[::-1])


def test_a_moved_photo_is_found_again_and_a_changed_one_is_not(
    photos: list[LabelledPhoto], settings: EncoderSettings, tmp_path: Path
) -> None:
    before = embeddings(MODEL, photos, settings)
    moved = replace(photos[0], path=photos[0].path.rename(tmp_path / "moved.jpg"))
    changed = drawn(tmp_path / "photos", 99, photos[1].name)
    progress: list[tuple[int, int]] = []
    rows = embeddings(
        MODEL, [moved, changed], settings, lambda done, total: progress.append((done, total))
    )
    assert progress == [(1, 1)]
    np.testing.assert_array_equal(rows[0], before[0])
    assert not np.array_equal(rows[1], before[1])


def test_a_photo_that_is_there_several_times_is_embedded_once(
    photos: list[LabelledPhoto], settings: EncoderSettings
) -> None:
    assert set(embedded_now([*photos, *photos], settings)) == {10}


def test_the_embeddings_of_another_digest_are_not_used(
    photos: list[LabelledPhoto], settings: EncoderSettings
) -> None:
    spec = load_encoder(MODEL, settings).spec
    wrong = np.zeros(spec.dimension, dtype=np.float32)
    key = hashlib.sha256(photos[0].path.read_bytes()).digest()
    EmbeddingCache(settings.cache_dir / "embeddings", MODEL, "f" * 64, spec.dimension).add(
        {key: wrong}
    )
    assert embeddings(MODEL, photos[:1], settings).any()


def _flipped(data: bytes) -> bytes:
    middle = len(data) // 2  # among the numbers
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [_flipped, lambda data: data[: len(data) // 2], lambda _: b"", lambda _: b"not an archive"],
    ids=["one bit", "cut short", "empty", "something else"],
)
def test_a_damaged_file_is_reported_and_made_again(
    photos: list[LabelledPhoto], settings: EncoderSettings, damage: Callable[[bytes], bytes]
) -> None:
    rows = embeddings(MODEL, photos, settings)
    [part] = (settings.cache_dir / "embeddings").rglob("*.npz")
    part.write_bytes(damage(part.read_bytes()))
    with structlog.testing.capture_logs() as logs:
        again = embeddings(MODEL, photos, settings)
    [warning] = logs
    assert (warning["log_level"], warning["path"]) == ("warning", str(part))
    np.testing.assert_array_equal(again, rows)
    assert embedded_now(photos, settings) == []


def test_a_photo_that_cannot_be_read_is_named_and_the_others_stay_done(
    photos: list[LabelledPhoto], settings: EncoderSettings
) -> None:
    bad = photos[6]
    bad.path.write_bytes(b"this is not a photo")
    with pytest.raises(InvalidInputError, match=rf"{bad.path}: the bytes are not a photo"):
        embeddings(MODEL, photos, settings)
    drawn(bad.path.parent, 50, bad.name)
    assert set(embedded_now(photos, settings)) == {6}  # all but the first whole batch


def test_a_missing_photo_is_named(photos: list[LabelledPhoto], settings: EncoderSettings) -> None:
    photos[3].path.unlink()
    with pytest.raises(InvalidInputError, match=rf"{photos[3].path} cannot be read: No such file"):
        embeddings(MODEL, photos, settings)


def test_a_photo_over_the_limit_of_the_service_is_named(
    photos: list[LabelledPhoto], settings: EncoderSettings
) -> None:
    strict = settings.model_copy(update={"max_photo_pixels": 1000})
    with pytest.raises(InvalidInputError, match=rf"{photos[0].path}: .* 320 × 240 pixels"):
        embeddings(MODEL, photos, strict)


def test_an_unknown_model_is_named_with_those_there_are(settings: EncoderSettings) -> None:
    with pytest.raises(NotFoundError, match=r"'resnet'; there are: .*scratch"):
        embeddings("resnet", [], settings)


def _embed_and_die(photos: list[LabelledPhoto], settings: EncoderSettings) -> None:
    under_test._KEPT_AT_ONCE = 4

    def die_at_the_end(done: int, total: int) -> None:
        if done == total:
            os.kill(os.getpid(), signal.SIGKILL)

    embeddings(MODEL, photos, settings, die_at_the_end)


@pytest.mark.slow
@pytest.mark.integration
def test_what_was_done_before_a_kill_is_not_done_again(
    photos: list[LabelledPhoto], settings: EncoderSettings
) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_embed_and_die, args=(photos, settings))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    assert set(embedded_now(photos, settings)) == {2}
