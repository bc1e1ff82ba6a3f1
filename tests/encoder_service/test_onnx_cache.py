"""Models cached as ONNX files: used while they are up to date, and not after."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from encoder_service.loader import load_encoder
from encoder_service.models.registry import MODULES
from encoder_service.onnx_cache import read_prepared_model
from encoder_service.settings import EncoderSettings
from tests.support.photos import drawn_photo
from tests.support.toy_encoder import MODEL

pytestmark = pytest.mark.integration


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Register a copy of the toy encoder whose file may be changed; return its file."""
    source = tmp_path / "changing_toy.py"
    code = f"from {MODEL.build.__module__} import MODEL\n"
    source.write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(MODULES, "toy", "changing_toy")
    yield source
    sys.modules.pop("changing_toy", None)


@pytest.fixture
def settings(tmp_path):
    return EncoderSettings.load({"cache_dir": tmp_path / "cache"})


def embedded(settings):
    encoder = load_encoder("toy", settings)
    return encoder.spec, encoder.embed(encoder.preprocess(drawn_photo())[None])


@pytest.mark.usefixtures("toy")
def test_a_model_is_prepared_once_and_then_makes_the_same_vectors(settings):
    assert read_prepared_model("toy", settings) is None
    spec, rows = embedded(settings)
    prepared = read_prepared_model("toy", settings)
    assert prepared is not None
    made = prepared.onnx.stat().st_mtime_ns
    again, same = embedded(settings)
    assert prepared.onnx.stat().st_mtime_ns == made
    assert again == spec == prepared.spec
    np.testing.assert_array_equal(same, rows)


def test_a_change_of_the_models_code_prepares_it_again(toy, settings):
    embedded(settings)
    assert read_prepared_model("toy", settings)
    toy.write_text(toy.read_text() + "# another line\n")
    assert read_prepared_model("toy", settings) is None


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize("damage", ["onnx", "description", "not json"])
def test_a_damaged_file_is_prepared_again(settings, damage):
    _, rows = embedded(settings)
    prepared = read_prepared_model("toy", settings)
    assert prepared is not None
    description = prepared.onnx.with_name("prepared.json")
    if damage == "onnx":
        prepared.onnx.write_bytes(prepared.onnx.read_bytes()[:-10])
    elif damage == "description":
        recorded = json.loads(description.read_text())
        description.write_text(json.dumps({**recorded, "spec": {"name": "toy"}}))
    else:
        description.write_text("{")
    assert read_prepared_model("toy", settings) is None
    np.testing.assert_array_equal(embedded(settings)[1], rows)
    assert read_prepared_model("toy", settings)


@pytest.mark.usefixtures("toy")
def test_another_weights_file_prepares_the_model_again(settings, tmp_path):
    embedded(settings)
    other = settings.model_copy(update={"weights_files": {"toy": tmp_path / "mine.safetensors"}})
    assert read_prepared_model("toy", other) is None


@pytest.mark.usefixtures("toy")
def test_a_model_is_served_where_the_cache_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    spec, rows = embedded(EncoderSettings.load({"cache_dir": tmp_path / "file" / "below"}))
    assert rows.shape == (1, spec.dimension)


def test_a_prepared_model_is_served_without_importing_torch(tmp_path):
    settings = EncoderSettings.load({"cache_dir": tmp_path})
    load_encoder("scratch", settings)
    check = (
        "import sys; from encoder_service.server import main;"
        "from encoder_service.loader import load_encoder;"
        "from encoder_service.settings import EncoderSettings;"
        f"load_encoder('scratch', EncoderSettings.load({{'cache_dir': {str(tmp_path)!r}}}));"
        "print('torch' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, check=True, text=True
    )
    assert printed.stdout.strip() == "False"


def prepare(*models, cache):
    environment = {**os.environ, "LANDMARKS_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "encoder_service.prepare", *models]
    return subprocess.run(command, env=environment, capture_output=True, check=False, text=True)


@pytest.mark.slow
def test_a_model_can_be_prepared_ahead_of_time(tmp_path):
    done = prepare("scratch", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_prepared_model("scratch", EncoderSettings.load({"cache_dir": tmp_path}))


def test_a_model_that_cannot_be_prepared_is_a_message_and_an_exit_code(tmp_path):
    done = prepare("vgg99", cache=tmp_path)
    assert done.returncode == 2
    assert "vgg99" in done.stderr
    assert "Traceback" not in done.stderr
