"""Trains `scratch` on the photos of a manifest: `python -m encoder_service.training.scratch`.

The manifest is CSV with the columns path (relative to the manifest), landmark and split. The
network sees the split `train`; `val` chooses the checkpoint; no other split is read.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import structlog
import torch
from torch import nn
from torch.nn import functional

from encoder_service.images import PhotoLimits, decode
from encoder_service.models.preprocessing import Resized
from encoder_service.models.scratch import PREPROCESSING
from encoder_service.models.scratch_network import DIMENSION, ScratchNetwork
from encoder_service.tensors import write_tensors
from encoder_service.training.augment import augmented
from landmarks.errors import ConfigurationError

_log = structlog.get_logger(__name__)
# Larger than the network's input, so that a crop of the photo still has detail to show.
_CACHED_SIZE = 144
_COSINE_SCALE = 16.0
# The photos of a manifest are the user's own.
_ANY_SIZE = PhotoLimits(max_bytes=1 << 30, max_pixels=1 << 30)


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
    if not rows:
        raise ConfigurationError(f"{manifest} lists no photo of the split {split!r}")
    squash = Resized(size, "squash", (0.0,) * 3, (1.0,) * 3, decode_size=None)
    arrays = []
    for row in rows:
        photo = decode((manifest.parent / row["path"]).read_bytes(), _ANY_SIZE)
        arrays.append(squash(photo.image).to(torch.uint8))
    return Photos(torch.stack(arrays), tuple(row["landmark"] for row in rows))


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Return 0–255 pixels (N, 3, H, W) as the network takes them."""
    mean, scale = torch.tensor(PREPROCESSING.mean), torch.tensor(PREPROCESSING.scale)
    photos = (pixels.float() - mean[:, None, None]) / scale[:, None, None]
    return photos.contiguous(memory_format=torch.channels_last)


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
        if not relevant.any():  # nothing could have been found
            continue
        places = np.flatnonzero(relevant) + 1
        first.append(bool(relevant[0]))
        precisions.append(float(np.mean(np.arange(1, len(places) + 1) / places)))
    if not first:
        raise ConfigurationError("no photo of `val` shows a landmark of `train`")
    return Score(float(np.mean(first)), float(np.mean(precisions)))


def train(manifest: Path, plan: Plan, out: Path) -> Score:
    """Train on `manifest`; keep in `out` the checkpoint with the best mAP on `val`."""
    torch.manual_seed(plan.seed)
    generator = torch.Generator().manual_seed(plan.seed)
    training = read_split(manifest, "train", _CACHED_SIZE)
    gallery = read_split(manifest, "train", PREPROCESSING.input_size)
    queries = read_split(manifest, "val", PREPROCESSING.input_size)
    names = sorted(set(training.landmarks))
    labels = torch.tensor([names.index(name) for name in training.landmarks])

    network = ScratchNetwork().to(memory_format=torch.channels_last)
    classes = nn.Parameter(torch.randn(len(names), DIMENSION))
    optimizer = torch.optim.SGD(
        _parameter_groups(network, classes, plan.weight_decay), momentum=0.9, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        plan.learning_rate,
        epochs=plan.epochs,
        steps_per_epoch=len(labels) // plan.batch,
        pct_start=0.2,
    )
    best = Score(0, 0)
    started = time.monotonic()
    for epoch in range(1, plan.epochs + 1):
        network.train()
        losses = []
        # What is left over of an epoch is dropped: norms of a tiny batch would be noise.
        order = torch.randperm(len(labels), generator=generator)
        for first in range(0, len(labels) - plan.batch + 1, plan.batch):
            chosen = order[first : first + plan.batch]
            views = augmented(training.pixels[chosen], PREPROCESSING.input_size, generator)
            loss = _loss(network, classes, views, labels[chosen], plan.label_smoothing)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        seconds = round(time.monotonic() - started)
        _log.info("epoch", epoch=epoch, loss=round(float(np.mean(losses)), 4), seconds=seconds)
        if epoch % plan.evaluate_every == 0 or epoch == plan.epochs:
            now = score(network, gallery, queries)
            _log.info("evaluated", epoch=epoch, **asdict(now))
            if now.mean_average_precision >= best.mean_average_precision:
                best = now
                export(network, out)
    return best


def _loss(
    network: nn.Module,
    classes: torch.Tensor,
    views: torch.Tensor,
    labels: torch.Tensor,
    smoothing: float,
) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):  # twice as fast where the CPU has it
        embedded = network(normalised(views))
    cosines = functional.normalize(embedded.float()) @ functional.normalize(classes).T
    return functional.cross_entropy(cosines * _COSINE_SCALE, labels, label_smoothing=smoothing)


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
        name: tensor.to(torch.float16)
        for name, tensor in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    write_tensors(tensors, path)


def main(arguments: Sequence[str] | None = None) -> Score:
    """Train, write the weights, and return the score on `val`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path, help="safetensors file to write")
    parser.add_argument("--epochs", type=int, default=Plan.epochs)
    parser.add_argument("--batch", type=int, default=Plan.batch)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    plan = Plan(epochs=options.epochs, batch=options.batch, seed=options.seed)
    best = train(options.manifest, plan, options.out)
    _log.info("best", **asdict(best))
    return best


if __name__ == "__main__":
    main()
