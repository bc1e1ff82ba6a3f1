import csv

import pytest
import torch

from encoder_service.models.scratch import build
from encoder_service.tensors import read_tensors
from encoder_service.training import scratch
from encoder_service.training.augment import augmented
from tests.support.photos import drawn_photo


def test_views_are_of_the_size_asked_for_and_the_seed_decides():
    photos = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8)
    one, same, other = (
        augmented(photos, 24, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.shape == (3, 3, 24, 24)
    assert one.min() >= 0
    assert one.max() <= 255
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "manifest.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "landmark", "split"])
        for number in range(12):
            drawn_photo(60, 50, seed=number).save(tmp_path / f"{number}.png")
            split = ("train", "train", "val")[number % 3]
            writer.writerow([f"{number}.png", f"landmark {number % 2}", split])
        writer.writerow(["not-there.png", "landmark 0", "test"])
    return path


def test_training_writes_weights_that_the_model_loads_and_reads_no_other_split(manifest, tmp_path):
    out = tmp_path / "scratch.safetensors"
    score = scratch.main([str(manifest), str(out), "--epochs", "1", "--batch", "4"])
    assert 0 <= score.mean_average_precision <= 1
    tensors = read_tensors(out)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert build(tensors)(torch.zeros(2, 3, 112, 112)).shape == (2, 128)
