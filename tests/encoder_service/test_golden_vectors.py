"""The vectors of each model for one drawn photo, as they were when its revision was set.

After an intended change: raise the revision in the model's file, and write the vectors again
with `python -m tests.encoder_service.test_golden_vectors`.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from encoder_service.loader import load_encoder
from encoder_service.models.registry import MODULES
from encoder_service.settings import EncoderSettings
from landmarks.photos.decode import decode
from landmarks.photos.limits import PhotoLimits
from tests.support.photos import drawn_photo, saved

pytestmark = pytest.mark.integration

GOLDEN = Path(__file__).with_name("golden_vectors.json")
# All but one, whose weights are published at a host that cannot be reached from everywhere.
NAMES = sorted(set(MODULES) - {"vgg16_fc7"})
# VGG16's weights are 59 MB to fetch, and its export takes long.
NEEDING_WEIGHTS = [
    pytest.param(
        name,
        marks=[
            pytest.mark.needs(weights=name),
            *([pytest.mark.slow] if name.startswith("vgg16") else []),
        ],
    )
    for name in NAMES
]


def encoded(name):
    """Return the spec and the vector. A PNG: decoders of JPEG may differ in the last bit."""
    encoder = load_encoder(name, EncoderSettings.load({"precision": "float32"}))
    limits = PhotoLimits(10_000_000, 10_000_000)
    photo = decode(saved(drawn_photo(480, 360)), limits, encoder.spec.decode_size)
    rows = encoder.embed(np.stack([encoder.preprocess(photo.image)] * 2))
    assert rows.dtype == np.float32
    assert rows.shape == (2, encoder.spec.dimension)
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    return encoder.spec, rows[0]


def test_every_model_has_golden_vectors():
    assert set(NAMES) == set(json.loads(GOLDEN.read_text()))


@pytest.mark.parametrize("name", NEEDING_WEIGHTS)
def test_the_vectors_are_those_of_the_revision(name):
    golden = json.loads(GOLDEN.read_text())[name]
    spec, vector = encoded(name)
    assert spec.digest == golden["digest"], "the model has changed: write its golden vectors again"
    earlier = [one.digest for one in spec.revisions[1:]]
    assert earlier == golden["earlier"], "galleries of the release before lose their encoder"
    expected = np.array(golden["vector"])
    assert vector @ expected > 0.9999 * np.linalg.norm(expected), "raise the model's revision"
    assert np.abs(vector - expected).max() < 1e-3, "raise the model's revision"


if __name__ == "__main__":
    written = {}
    for model in NAMES:
        model_spec, model_vector = encoded(model)
        rounded = [round(float(value), 5) for value in model_vector]
        written[model] = {
            "digest": model_spec.digest,
            "earlier": [one.digest for one in model_spec.revisions[1:]],
            "vector": rounded,
        }
    GOLDEN.write_text(json.dumps(written) + "\n")
