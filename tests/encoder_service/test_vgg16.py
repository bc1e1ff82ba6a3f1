"""VGG16's layers are torchvision's."""

import hashlib

import pytest
import torch
from torchvision.models import VGG16_Weights, vgg16

from encoder_service.models import vgg16_fc7
from encoder_service.models.pooling import CentredPool
from encoder_service.models.vgg16 import build, split
from encoder_service.settings import WeightsSettings
from encoder_service.tensors import read_tensors, write_tensors
from encoder_service.weights import ensure_weights, load_weights, weights_status
from landmarks.errors import ConfigurationError, UnavailableError
from tests.encoder_service.test_weights import register

pytestmark = pytest.mark.integration


def test_the_network_is_torchvisions_features_pooled() -> None:
    torch.manual_seed(0)
    reference = vgg16(weights=None).features.eval()
    tensors = {f"features.{name}": value for name, value in reference.state_dict().items()}
    photos = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        expected = CentredPool(512)(reference(photos))
        network = build(tensors)
        assert torch.equal(network(photos), expected)
        trunk, tail = split(network)
        assert torch.equal(tail(trunk(photos)), expected)


def test_what_transfer_learning_replaces_fits_in_15_megabytes() -> None:
    with torch.device("meta"):
        features = vgg16(weights=None).features.state_dict()
    tensors = {f"features.{name}": torch.zeros(value.shape) for name, value in features.items()}
    _, tail = split(build(tensors))
    assert 2 * sum(parameter.numel() for parameter in tail.parameters()) < 15_000_000


@pytest.fixture(scope="module")
def with_classifier() -> torch.nn.Module:
    torch.manual_seed(0)
    return vgg16(weights=None).eval()


@pytest.mark.slow
def test_fc7_is_the_input_of_torchvisions_last_layer(with_classifier, tmp_path) -> None:
    torch.save(with_classifier.state_dict(), tmp_path / "vgg16.pth")
    network = vgg16_fc7.build(vgg16_fc7.read_torchvision(tmp_path / "vgg16.pth"))
    photos = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        found = network(photos)
        assert found.shape == (2, vgg16_fc7.DIMENSION)
        assert torch.allclose(with_classifier.classifier[6](found), with_classifier(photos))


def test_fc7_normalises_as_torchvision_does() -> None:
    official = VGG16_Weights.IMAGENET1K_V1.transforms()
    ours = vgg16_fc7.MODEL.preprocessing
    assert [value / 255 for value in ours.mean] == pytest.approx(official.mean)
    assert [value / 255 for value in ours.scale] == pytest.approx(official.std)
    assert VGG16_Weights.IMAGENET1K_V1.url == str(vgg16_fc7.WEIGHTS.sources[0])
    assert vgg16_fc7.WEIGHTS.file_sha256 in VGG16_Weights.IMAGENET1K_V1.url


RIGHT = {"layer.weight": torch.arange(3.0)}


@pytest.fixture
def known_by_its_file(tmp_path, monkeypatch):
    """Weights of which only the hash of the published file is known, and that file."""
    published = tmp_path / "published.pth"
    torch.save(RIGHT, published)
    recipe = vgg16_fc7.FetchedWeights(
        name="published",
        bytes=1,
        sources=vgg16_fc7.WEIGHTS.sources,
        file_sha256=hashlib.sha256(published.read_bytes()).hexdigest()[:8],
        readers={".pth": lambda path: torch.load(path, weights_only=True)},
    )
    register(monkeypatch, recipe, "published")
    return WeightsSettings.load({"cache_dir": tmp_path / "cache"}), published


def test_weights_known_by_their_files_hash_are_verified_when_fetched_and_when_read_again(
    known_by_its_file,
):
    settings, published = known_by_its_file
    path = ensure_weights("published", settings, fetch_source=lambda *_: published)
    assert weights_status("published", settings).verified
    assert load_weights("published", settings)["layer.weight"].tolist() == [0, 1, 2]
    write_tensors({"layer.weight": torch.zeros(3)}, path)
    assert not weights_status("published", settings).verified
    ensure_weights("published", settings, fetch_source=lambda *_: published)
    assert read_tensors(path)["layer.weight"].tolist() == [0, 1, 2]


def test_another_file_than_the_published_one_is_refused(known_by_its_file, tmp_path):
    settings, _ = known_by_its_file
    other = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.ones(3)}, other)
    with pytest.raises(UnavailableError, match="other weights"):
        ensure_weights("published", settings, fetch_source=lambda *_: other)
    named = settings.model_copy(update={"weights_files": {"published": other}})
    with pytest.raises(ConfigurationError, match=r"other\.pth.*other weights"):
        ensure_weights("published", named)
