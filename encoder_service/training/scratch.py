"""Trains `scratch` on the photos of a manifest: `python -m encoder_service.training.scratch`.

The manifest is CSV with the columns path (relative to the manifest), landmark and split. The
network sees the split `train`; `val` chooses the checkpoint; no other split is read.
"""

from __future__ import annotations

import argparse
import copy
import csv
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from encoder_service.models.scratch_network import DIMENSION, ScratchNetwork
from encoder_service.training.augment import augmented

_log = structlog.get_logger(__name__)
INPUT_SIZE = 112
MEAN, SCALE = 127.5, 64.0
# Larger than the network's input, so that a crop of the photo still has detail to show.
_CACHED_SIZE = 144
_COSINE_SCALE = 16.0


@dataclass(frozen=True)
class Plan:
    """How to train."""

    epochs: int = 70
    batch: int = 64
    learning_rate: float = 0.1
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    evaluate_every: int = 5
    seed: int = 1


@dataclass(frozen=True)
class Photos:
    """One split, decoded: uint8 (N, 3, H, W), and each photo's landmark."""

    pixels: torch.Tensor
    landmarks: tuple[str, ...]


@dataclass(frozen=True)
class Score:
    """How well photos of `val` find those of `train`: means over the queries."""

    recall_at_1: float
    mean_average_precision: float


def read_split(manifest: Path, split: str, size: int) -> Photos:
    """Decode the photos of one split, squashed to `size` × `size`."""
    with manifest.open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["split"] == split]
    arrays = []
    for row in rows:
        with Image.open(manifest.parent / row["path"]) as photo:
            small = photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        arrays.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    return Photos(torch.stack(arrays), tuple(row["landmark"] for row in rows))


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Return 0–255 pixels (N, 3, H, W) as the network takes them."""
    return ((pixels.float() - MEAN) / SCALE).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def vectors(network: nn.Module, photos: Photos) -> torch.Tensor:
    """Return the unit vectors (N, dimension) of `photos`, which are of the network's size."""
    network.eval()
    rows = [network(normalised(batch)) for batch in torch.split(photos.pixels, 128)]
    return functional.normalize(torch.cat(rows).float())


def score(network: nn.Module, gallery: Photos, queries: Photos) -> Score:
    """Rank `gallery` for each of `queries` by the angle between vectors; same landmark is right."""
    similarity = vectors(network, queries) @ vectors(network, gallery).T
    gallery_names = np.array(gallery.landmarks)
    first, precisions = [], []
    for name, order in zip(queries.landmarks, similarity.argsort(descending=True), strict=True):
        relevant = gallery_names[order.numpy()] == name
        places = np.flatnonzero(relevant) + 1
        first.append(bool(relevant[0]))
        precisions.append(float(np.mean(np.arange(1, len(places) + 1) / places)))
    return Score(float(np.mean(first)), float(np.mean(precisions)))


def train(manifest: Path, plan: Plan) -> tuple[ScratchNetwork, Score]:
    """Train on `manifest` and return the checkpoint with the best mAP on `val`."""
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    training = read_split(manifest, "train", _CACHED_SIZE)
    gallery = read_split(manifest, "train", INPUT_SIZE)
    queries = read_split(manifest, "val", INPUT_SIZE)
    names = sorted(set(training.landmarks))
    labels = torch.tensor([names.index(name) for name in training.landmarks])

    network = ScratchNetwork().to(memory_format=torch.channels_last)
    classes = nn.Parameter(torch.randn(len(names), DIMENSION))
    optimizer = torch.optim.SGD(
        _parameter_groups(network, classes, plan.weight_decay), momentum=0.9, nesterov=True
    )
    steps = len(labels) // plan.batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.learning_rate, epochs=plan.epochs, steps_per_epoch=steps, pct_start=0.2
    )
    best, best_score = copy.deepcopy(network), Score(0, 0)
    started = time.monotonic()
    for epoch in range(1, plan.epochs + 1):
        network.train()
        order = torch.randperm(len(labels), generator=generator)
        total = 0.0
        for step in range(steps):
            chosen = order[step * plan.batch : (step + 1) * plan.batch]
            views = normalised(augmented(training.pixels[chosen], INPUT_SIZE, generator))
            with torch.autocast("cpu", torch.bfloat16):
                embedded = network(views)
            cosines = functional.normalize(embedded.float()) @ functional.normalize(classes).T
            loss = functional.cross_entropy(
                cosines * _COSINE_SCALE, labels[chosen], label_smoothing=plan.label_smoothing
            )
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.item()
        now = Score(0, 0)
        if epoch % plan.evaluate_every == 0 or epoch == plan.epochs:
            now = score(network, gallery, queries)
            if now.mean_average_precision > best_score.mean_average_precision:
                best, best_score = copy.deepcopy(network), now
        _log.info(
            "epoch",
            epoch=epoch,
            loss=round(total / steps, 4),
            recall_at_1=round(now.recall_at_1, 4),
            mean_average_precision=round(now.mean_average_precision, 4),
            seconds=round(time.monotonic() - started),
        )
    return best, best_score


def _parameter_groups(
    network: nn.Module, classes: nn.Parameter, decay: float
) -> list[dict[str, object]]:
    # Decay pulls on directions' lengths; on norms' gains and shifts it only hurts.
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [classes, *(p for p in parameters if p.ndim <= 1)], "weight_decay": 0.0},
    ]


def export(network: nn.Module, path: Path) -> None:
    """Write the network's tensors as float16 safetensors."""
    tensors = {
        name: tensor.to(torch.float16).contiguous()
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(tensors, path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path, help="safetensors file to write")
    parser.add_argument("--epochs", type=int, default=Plan.epochs)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    network, best = train(options.manifest, Plan(epochs=options.epochs, seed=options.seed))
    export(network, options.out)
    _log.info(
        "best", recall_at_1=best.recall_at_1, mean_average_precision=best.mean_average_precision
    )


if __name__ == "__main__":
    main()
