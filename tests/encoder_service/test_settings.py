import pytest

from encoder_service.memory import ALLOCATOR, tuned
from encoder_service.settings import EncoderSettings
from landmarks.errors import ConfigurationError


def test_models_are_a_list_with_commas(monkeypatch):
    monkeypatch.setenv("LANDMARKS_MODELS", "vgg16, scratch,,vgg16")
    assert EncoderSettings.load().models == ("vgg16", "scratch")


def test_files_of_weights_are_json(monkeypatch):
    monkeypatch.setenv("LANDMARKS_WEIGHTS_FILES", '{"vgg16": "/some/file.pth"}')
    assert str(EncoderSettings.load().weights_files["vgg16"]) == "/some/file.pth"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODELS", ","),
        ("ENCODER_PORT", "99999"),
        ("MAX_PHOTO_BYTES", "999999999"),
        ("THREADS", "x"),
    ],
)
def test_settings_that_cannot_work_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"LANDMARKS_{name}", value)
    with pytest.raises(ConfigurationError):
        EncoderSettings.load()


def test_threads_default_to_the_physical_cores():
    settings = EncoderSettings.load()
    assert settings.inference_threads >= 1
    assert EncoderSettings.load({"threads": 3}).decoders == 3


def test_the_allocator_is_tuned_once_and_a_launcher_s_choice_is_left_alone():
    assert tuned({"A": "b"}, "linux") == {"A": "b", **ALLOCATOR}
    assert tuned(ALLOCATOR, "linux") is None
    assert tuned({"MALLOC_ARENA_MAX": "4"}, "linux") is None
    assert tuned({}, "darwin") is None
