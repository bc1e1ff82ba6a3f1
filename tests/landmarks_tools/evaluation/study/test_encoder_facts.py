from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from encoder_service.models.model_card import CurvePoint, ModelCard, TrainingData
from encoder_service.models.registry import MODULES
from encoder_service.models.scratch import WEIGHTS
from encoder_service.settings import EncoderSettings
from landmarks_tools.evaluation.study.encoder_facts import encoder_facts
from tests.support.toy_encoder import __name__ as toy


def test_an_encoders_facts_are_read_off_the_network_itself():
    facts = encoder_facts("scratch", EncoderSettings.load())

    assert facts.architecture == (
        "10 convolutions, kernels 1 × 1, 3 × 3, 32 to 192 channels; 1 fully connected layer"
    )
    assert facts.parameters == 891_136
    assert (facts.dimension, facts.input_size) == (128, 112)
    assert facts.saw_labels


def test_a_model_of_the_users_own_is_introduced_by_the_card_beside_it(tmp_path: Path):
    weights = tmp_path / "model.safetensors"
    save_file(load_file(WEIGHTS), weights, metadata={"base": "scratch"})
    card = ModelCard(
        name="mine", description="", base="scratch", base_digest="", weights_digest="",
        parameters=1, data=TrainingData("d", {"train": 40, "val": 2}, 5), settings={}, metrics={},
        curve=(CurvePoint(1, 2.0, 0.3),), environment={},
    )  # fmt: skip
    card.write(tmp_path / "model.json")

    facts = encoder_facts("mine", EncoderSettings.load({"trained_models": {"mine": weights}}))

    assert facts.card == card
    assert facts.landmark_labels == "those of 5 landmarks, on 42 photos (40 train, 2 val)"
    assert facts.saw_labels


@pytest.mark.slow
def test_vgg16_of_no_training_of_ours_saw_no_labels():
    facts = encoder_facts("vgg16", EncoderSettings.load())

    assert facts.card is None
    assert facts.landmark_labels.startswith("none: it was trained elsewhere")
    assert "13 convolutions, kernels 3 × 3, 64 to 512 channels" in facts.architecture


def test_a_new_encoder_is_introduced_without_a_word_of_it_in_the_report(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(MODULES, "toy", toy)

    facts = encoder_facts("toy", EncoderSettings.load())

    assert facts.about == "Colours of tiles, for tests."
    assert facts.dimension == 48
    assert facts.landmark_labels == "none: it has no weights"
