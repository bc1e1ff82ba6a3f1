from dataclasses import replace

import numpy as np
import pytest
import torch

from encoder_service.loader import load_encoder
from encoder_service.models.base import ModelDefinition
from encoder_service.models.preprocessing import Resized
from encoder_service.models.registry import MODULES, definition_of
from encoder_service.models.weight_sources import NoWeights
from encoder_service.runtimes.base import unit_rows
from encoder_service.settings import EncoderSettings
from encoder_service.tensors import read_tensors, tensors_digest, write_tensors
from landmarks.errors import ConfigurationError, NotFoundError
from landmarks.photos.decoding_rules import PREVIOUS
from tests.support.photos import drawn_photo
from tests.support.toy_encoder import MODEL

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones((), dtype=torch.float16)}


def test_the_digest_does_not_depend_on_the_memory_layout_of_tensors():
    reordered = {"b": WEIGHTS["b"].clone(), "a": WEIGHTS["a"].T.contiguous().T}
    assert tensors_digest(reordered) == tensors_digest(WEIGHTS)


@pytest.mark.parametrize(
    "changed",
    [
        {**WEIGHTS, "a": WEIGHTS["a"] + torch.tensor([[0, 0, 1e-6], [0, 0, 0]])},
        {**WEIGHTS, "a": WEIGHTS["a"].reshape(3, 2)},
        {**WEIGHTS, "a": WEIGHTS["a"].double()},
        {"c": WEIGHTS["a"], "b": WEIGHTS["b"]},
        {"a": WEIGHTS["a"]},
    ],
    ids=["value", "shape", "type", "name", "missing"],
)
def test_the_digest_changes_with_the_weights(changed):
    assert tensors_digest(changed) != tensors_digest(WEIGHTS)
    assert MODEL.digest(changed) != MODEL.digest(WEIGHTS)


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 2},
        {"layer": "other"},
        {"pooling": "max"},
        {"preprocessing": replace(MODEL.preprocessing, input_size=64)},
        {"preprocessing": replace(MODEL.preprocessing, fit="crop")},
        {"preprocessing": replace(MODEL.preprocessing, mean=(128.0, 128.0, 127.0))},
        {"preprocessing": replace(MODEL.preprocessing, scale=(64.0, 64.0, 63.0))},
        {"preprocessing": replace(MODEL.preprocessing, decode_size=64)},
        {"decodings": (PREVIOUS,)},
    ],
    ids=str,
)
def test_the_digest_changes_with_settings_and_revision(change):
    assert replace(MODEL, **change).digest(WEIGHTS) != MODEL.digest(WEIGHTS)


@pytest.mark.usefixtures("_toy")
def test_the_digest_does_not_change_with_description_or_runtime(tmp_path):
    wishes: list[dict[str, object]] = [{"threads": 1}, {"threads": 2}, {"runtime": "torch"}]
    digests = {
        load_encoder("toy", EncoderSettings.load({"cache_dir": tmp_path, **some})).spec.digest
        for some in wishes
    }
    digests.add(replace(MODEL, description="other words").digest({}))
    assert len(digests) == 1


def test_tensors_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "some.safetensors"
    write_tensors(WEIGHTS, path)
    assert tensors_digest(read_tensors(path)) == tensors_digest(WEIGHTS)
    assert [entry.name for entry in tmp_path.iterdir()] == ["some.safetensors"]
    path.write_bytes(b"damaged")
    with pytest.raises(ConfigurationError, match=r"some\.safetensors"):
        read_tensors(path)


def test_rows_have_unit_length_and_rows_of_zeros_stay():
    rows = unit_rows(np.array([[3, 4], [0, 0], [1e-20, 0]], np.float32))
    assert np.allclose(rows, [[0.6, 0.8], [0, 0], [1, 0]])
    assert rows.dtype == np.float32


def test_a_crop_takes_the_middle_and_a_squash_the_whole():
    photo = drawn_photo(300, 100)
    crop = Resized(10, "crop", (0.0,) * 3, (1.0,) * 3, None)
    middle = crop(photo.crop((100, 0, 200, 100)))
    squash = replace(crop, fit="squash")
    # Not quite equal: at its edges, the filter sees what lies beyond.
    assert np.abs(crop(photo) - middle).mean() < 2 < np.abs(squash(photo) - middle).mean()
    assert crop(drawn_photo(60_000, 2)).shape == (3, 10, 10)


def test_normalisation_is_on_a_scale_of_255():
    white = drawn_photo().point(lambda value: 255)
    pixels = Resized(4, "squash", (55.0, 155.0, 255.0), (2.0, 1.0, 1.0), None)(white)
    assert pixels.dtype == np.float32
    assert pixels[:, 0, 0].tolist() == [100, 100, 0]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_registered_model_has_a_complete_definition(name):
    model = definition_of(name)
    assert model.name == name
    assert model.description
    assert model.layer
    assert model.preprocessing.decode_size is None or (
        model.preprocessing.decode_size >= 2 * model.preprocessing.input_size
    )


def test_a_model_that_is_not_registered_is_not_found():
    with pytest.raises(NotFoundError, match="vgg16"):
        definition_of("vgg99")


def test_a_module_must_define_the_model_that_it_is_registered_for(monkeypatch):
    monkeypatch.setitem(MODULES, "other", "tests.support.toy_encoder")
    with pytest.raises(TypeError, match="other"):
        definition_of("other")
    assert isinstance(MODEL, ModelDefinition)
    assert isinstance(MODEL.weights, NoWeights)
