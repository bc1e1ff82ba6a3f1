"""Every runtime makes the vectors of plain torch in single precision."""

import numpy as np
import pytest
import torch
from PIL import Image

from encoder_service.execution_plan import cpu_has_bfloat16
from encoder_service.loader import load_encoder
from encoder_service.models.registry import definition_of
from encoder_service.runtimes.base import unit_rows
from encoder_service.settings import EncoderSettings
from encoder_service.weights import load_weights
from landmarks_tools.sample_gallery.landmarks import LANDMARKS
from landmarks_tools.sample_gallery.render import render
from landmarks_tools.sample_gallery.views import plan_view
from tests.encoder_service.test_golden_vectors import NEEDING_WEIGHTS
from tests.support.photos import drawn_photo

pytestmark = pytest.mark.integration

LEAST_COSINE = 0.9999
BEAR_BFLOAT16 = [one for one in NEEDING_WEIGHTS if definition_of(str(one.values[0])).bfloat16]


@pytest.fixture(scope="module")
def photos():
    views = [render(one, plan_view(one, 0)) for one in list(LANDMARKS.values())[:6]]
    drawn = [drawn_photo(seed=seed) for seed in range(2)]
    return [*(Image.fromarray(view.image) for view in views), *drawn]


@pytest.fixture(scope="module")
def reference(photos):
    """Give the rows of plain eager torch, one photo at a time, by a model's name."""
    made = {}

    def rows(name):
        if name not in made:
            settings = EncoderSettings.load()
            definition = definition_of(name)
            network = definition.build(load_weights(name, settings)).float().eval()
            pixels = [torch.from_numpy(definition.preprocessing(photo))[None] for photo in photos]
            with torch.inference_mode():
                vectors = torch.cat([network(one) for one in pixels]).numpy()
            made[name] = unit_rows(vectors)
        return made[name]

    return rows


def least_cosine(name, photos, reference, **settings):
    expected = reference(name)
    encoder = load_encoder(name, EncoderSettings.load(settings))
    batch = np.stack([encoder.preprocess(photo) for photo in photos])
    return encoder.plan, float((encoder.embed(batch) * expected).sum(axis=1).min())


@pytest.mark.parametrize("name", NEEDING_WEIGHTS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        *(
            pytest.param(one, marks=pytest.mark.slow)
            for one in ({"threads": 2}, {"runtime": "torch"})
        ),
    ],
    ids=str,
)
def test_the_runtime_does_not_change_the_vectors(name, settings, photos, reference):
    _, cosine = least_cosine(name, photos, reference, **settings)
    assert cosine >= LEAST_COSINE


@pytest.mark.slow
@pytest.mark.parametrize("name", BEAR_BFLOAT16)
def test_bfloat16_does_not_change_the_vectors_of_models_that_support_it(name, photos, reference):
    plan, cosine = least_cosine(name, photos, reference, precision="bfloat16")
    assert plan.precision == "bfloat16"
    assert cosine >= LEAST_COSINE


@pytest.mark.slow
def test_some_model_supports_bfloat16_and_runs_in_it_where_the_processor_can():
    assert "vgg16" in [one.values[0] for one in BEAR_BFLOAT16]
    plan = load_encoder("vgg16", EncoderSettings.load()).plan
    assert (plan.precision == "bfloat16") == cpu_has_bfloat16()


@pytest.mark.needs(device="cuda")
@pytest.mark.parametrize("name", NEEDING_WEIGHTS)
def test_a_gpu_does_not_change_the_vectors(name, photos, reference):
    plan, cosine = least_cosine(name, photos, reference, device="cuda")
    assert plan.device == "cuda"
    assert cosine >= LEAST_COSINE
