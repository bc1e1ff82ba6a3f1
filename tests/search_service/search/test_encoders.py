"""Finding encoders from an event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from landmarks.encoders.directory_aio import AsyncEncoderDirectory
from landmarks.errors import (
    DeadlineError,
    InvalidPhotoError,
    LineageError,
    NotFoundError,
    UnavailableError,
)
from tests.support.search_encoder import ColourEncoder, digest_of, encode
from tests.support.search_stack import draw

PHOTO = draw("Atomium", 0)
DIGEST = digest_of("thumbnail")


@asynccontextmanager
async def directory(
    targets: Mapping[str, Sequence[str]],
) -> AsyncIterator[AsyncEncoderDirectory]:
    encoders = AsyncEncoderDirectory(targets)
    try:
        yield encoders
    finally:
        await encoders.close()


async def test_a_photo_is_encoded_with_the_expected_digest() -> None:
    async with (
        ColourEncoder("thumbnail", revision=2) as new,
        ColourEncoder("thumbnail") as old,
        directory({"thumbnail": [new.target, old.target]}) as encoders,
    ):
        found = await encoders.find("thumbnail", DIGEST)
        encoded = await encoders.encode("thumbnail", PHOTO, DIGEST)

    assert (found.target, found.dimension) == (old.target, 48)
    assert (encoded.digest, encoded.vector.dtype) == (DIGEST, np.float32)
    np.testing.assert_allclose(encoded.vector, encode("thumbnail", PHOTO), rtol=1e-6)
    assert new.encoded == 0


async def test_if_an_encoder_is_gone_another_of_its_digest_is_found() -> None:
    async with (
        ColourEncoder("thumbnail") as first,
        ColourEncoder("thumbnail") as second,
        directory({"thumbnail": [first.target, second.target]}) as encoders,
    ):
        await encoders.encode("thumbnail", PHOTO, DIGEST)
        await first.stop()

        await encoders.encode("thumbnail", PHOTO, DIGEST)

    assert (first.encoded, second.encoded) == (1, 1)


async def test_if_an_encoder_has_changed_its_digest_another_of_the_old_digest_is_found() -> None:
    async with (
        ColourEncoder("thumbnail") as first,
        ColourEncoder("thumbnail") as second,
        directory({"thumbnail": [first.target, second.target]}) as encoders,
    ):
        await encoders.encode("thumbnail", PHOTO, DIGEST)
        first.revision = 2

        assert (await encoders.encode("thumbnail", PHOTO, DIGEST)).digest == DIGEST

    assert (first.encoded, second.encoded) == (1, 1)


async def test_errors_name_the_model_and_the_reason() -> None:
    async with (
        ColourEncoder("thumbnail") as encoder,
        directory({"thumbnail": [encoder.target]}) as encoders,
    ):
        with pytest.raises(NotFoundError, match="no encoder is set up for model 'vgg16'"):
            await encoders.encode("vgg16", PHOTO)
        with pytest.raises(LineageError, match="abcdef01"):
            await encoders.encode("thumbnail", PHOTO, "abcdef0123")
        with pytest.raises(InvalidPhotoError):
            await encoders.encode("thumbnail", b"no photo", DIGEST)
        encoder.go.clear()
        with pytest.raises(DeadlineError):
            await encoders.encode("thumbnail", PHOTO, DIGEST, timeout=0.2)
        await encoder.stop()
        with pytest.raises(UnavailableError, match=encoder.target):
            await encoders.encode("thumbnail", PHOTO, DIGEST)
