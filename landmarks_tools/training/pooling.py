"""Fits a model's pooling without labels: `python -m landmarks_tools.training.pooling`.

The offset is most of the mean of photos' vectors, and is subtracted from each vector. The optional
projection weakens the strongest directions, and those in which photos of the same subject differ.
No landmark's name is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import nn

from encoder_service.models.base import FloatMatrix, ModelDefinition
from encoder_service.models.pooling import CentredPool
from encoder_service.models.preprocessing import Resized
from encoder_service.models.registry import definition_of
from encoder_service.runtimes.base import unit_rows
from encoder_service.settings import WeightsSettings
from encoder_service.tensors import Tensors, read_tensors, write_tensors
from encoder_service.weights import ensure_weights
from landmarks.errors import InvalidInputError
from landmarks.retrieval.labelled_photos import LabelledPhoto, read_photos
from landmarks_tools.training.loop import Device, vectors
from landmarks_tools.training.training_photos import normalised, read_pixels

# The whole mean would suit photos like these; photos of other places have another mean.
_SHARE = 0.75
_BATCH = 32
_ROWS_AT_ONCE = 1_024
# How much of the mean variance is added in every direction before neighbours whiten.
_SHRINKAGE = 1.5


def pool_of(network: nn.Module) -> CentredPool:
    """Return a network's pooling."""
    (pool,) = (part for part in network.modules() if isinstance(part, CentredPool))
    return pool


def uncentred(network: nn.Module, inputs: Iterable[torch.Tensor], device: Device) -> FloatMatrix:
    """Return the unit vectors (N, dimension), float32, before offset and projection."""
    pool = pool_of(network)
    offset, projection = pool.offset.detach().clone(), pool.projection
    with torch.no_grad():
        pool.offset.zero_()
        pool.projection = nn.Identity()
        found = vectors(network, inputs, device)
        pool.offset.copy_(offset)
    pool.projection = projection
    return found


def projected(pool: CentredPool, found: FloatMatrix) -> FloatMatrix:
    """Return what `pool` makes of uncentred unit vectors (N, dimension), at unit length."""
    with torch.no_grad():
        centred = torch.from_numpy(found).to(pool.offset.device) - pool.offset
        rows: torch.Tensor = pool.projection(centred)
    return unit_rows(rows.cpu().numpy())


def centre(pool: CentredPool, found: FloatMatrix) -> None:
    """Set the offset of `pool`, in place, to most of what uncentred vectors have in common."""
    with torch.no_grad():
        pool.offset.copy_(torch.from_numpy(found).mean(dim=0) * _SHARE)


def clip_directions(pool: CentredPool, found: FloatMatrix, strongest: int) -> None:
    """Give `pool` a projection that weakens the strongest directions of uncentred vectors.

    Of their principal components, the `strongest` are scaled down to the standard deviation of the
    next; all others stay as they are. Whitening, which raises the weak ones too (Jégou and Chum,
    "Negative evidences and co-occurrences in image retrieval", 2012), lost more than it gained.
    """
    variances, directions = torch.linalg.eigh(torch.from_numpy(found).double().T.cov())
    allowed = variances[-1 - strongest]  # they come from the weakest on
    scales = (allowed / variances.clamp_min(allowed)).sqrt()
    with torch.no_grad():
        pool.add_projection().weight.copy_(directions * scales @ directions.T)


def whiten_within(
    pool: CentredPool, found: FloatMatrix, labels: torch.Tensor, shrinkage: float
) -> None:
    """Put `within_map` behind `pool`; `found` (N, dimension) are the vectors as it gives them."""
    _put_behind(pool, within_map(torch.from_numpy(found).double(), labels, shrinkage))


def whiten_neighbours(
    pool: CentredPool, found: FloatMatrix, neighbours: int, shrinkage: float
) -> None:
    """Whiten as `whiten_within` does, but by pairs of photos instead of labels.

    `found` (N, dimension), float32, are unit vectors as `pool` gives them. Two photos that are
    among each other's nearest `neighbours` mostly show the same, so what tells them apart should
    count less: whitening learnt from pairs (Mikolajczyk and Matas, "Improving descriptors for fast
    tree matching by optimal linear projection", 2007), the pairs found by mutual neighbourhood
    (Jégou, Harzallah and Schmid, "A contextual dissimilarity measure for accurate and efficient
    image search", 2007). Raises `InvalidInputError` where no two photos are near each other.
    """
    rows = torch.from_numpy(found)
    one, other = mutual_neighbours(rows, neighbours)
    if not len(one):
        raise InvalidInputError(
            f"no two of {len(rows)} photos are among each other's {neighbours} nearest, so there "
            "is nothing to learn from; give more photos"
        )
    apart = (rows[one] - rows[other]).double()
    _put_behind(pool, _whitening(apart.T @ apart / (2 * len(apart)), shrinkage))


def mutual_neighbours(rows: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the pairs of rows that are among each other's nearest `count`, each pair once.

    `rows` (N, C) are unit vectors; the two tensors (M,), int64, are places in them, the first the
    smaller.
    """
    total = len(rows)
    nearest = []
    for start in range(0, total, _ROWS_AT_ONCE):
        likeness = rows[start : start + _ROWS_AT_ONCE] @ rows.T
        likeness.diagonal(start).fill_(-torch.inf)  # not itself
        nearest.append(likeness.topk(min(count, total - 1)).indices)
    near = torch.cat(nearest)
    one, other = torch.arange(total).repeat_interleave(near.shape[1]), near.flatten()
    mutual = torch.isin(one * total + other, other * total + one) & (one < other)
    return one[mutual], other[mutual]


def _put_behind(pool: CentredPool, linear: torch.Tensor) -> None:
    with torch.no_grad():
        before = pool.projection
        if isinstance(before, nn.Linear):
            linear = linear @ before.weight.double().cpu()
        pool.add_projection().weight.copy_(linear)


def within_map(rows: torch.Tensor, labels: torch.Tensor, shrinkage: float) -> torch.Tensor:
    """Return the map (C, C) by which photos of one landmark lie closer together.

    `rows` (N, C), float64, are unit vectors, `labels` (N,) their landmarks.
    Directions in which the photos of a landmark differ from one another count less: within-class
    covariance normalisation (Hatch, Kajarekar and Stolcke, "Within-class covariance normalization
    for SVM-based speaker recognition", 2006). Before that, `shrinkage` times the mean variance is
    added in every direction; the more, the less is changed.
    """
    classes = [rows[labels == label] for label in set(labels.tolist())]
    # Landmarks count alike, however many photos they have.
    within = torch.stack([part.T.cov(correction=0) for part in classes if len(part) > 1]).mean(0)
    return _whitening(within, shrinkage)


def _whitening(covariance: torch.Tensor, shrinkage: float) -> torch.Tensor:
    """Return the map (C, C), float64, that evens out a covariance (C, C)."""
    identity = torch.eye(len(covariance), dtype=torch.float64)
    added = shrinkage * covariance.diagonal().mean() * identity
    variances, directions = torch.linalg.eigh(covariance + added)
    whitening = directions * variances.rsqrt() @ directions.T
    # Lengths do not count, and half precision has bounds.
    scaled: torch.Tensor = whitening / whitening.diagonal().mean()
    return scaled


def fitted(
    definition: ModelDefinition,
    tensors: Tensors,
    photos: Sequence[LabelledPhoto],
    device: Device,
    strongest: int = 0,
    neighbours: int = 0,
) -> Tensors:
    """Return what the pooling of a model learns of `photos`, by its names in the built network.

    `tensors` are the weights without it. Without `strongest` (how many directions to weaken) and
    `neighbours` (how many to whiten by) there is no projection.
    """
    preprocessing = definition.preprocessing
    if not isinstance(preprocessing, Resized):
        raise InvalidInputError(f"the preprocessing of {definition.name} is not known here")
    size = preprocessing.input_size

    def inputs() -> Iterator[torch.Tensor]:
        for at in range(0, len(photos), _BATCH):
            yield normalised(read_pixels(photos[at : at + _BATCH], size), preprocessing)

    network = definition.build(tensors).to(device.name).to(memory_format=torch.channels_last)
    pool, found = pool_of(network), uncentred(network, inputs(), device)
    centre(pool, found)
    if strongest:
        clip_directions(pool, found, strongest)
    if neighbours:
        whiten_neighbours(pool, projected(pool, found), neighbours, _SHRINKAGE)
    # A projection in half precision is half as large and as good.
    return {
        f"pool.{name}": tensor.half() if tensor.ndim > 1 else tensor
        for name, tensor in pool.state_dict().items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what a model's pooling learns of the photos of one split, as safetensors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train")
    parser.add_argument("--clip", type=int, default=0, help="how many directions to weaken")
    parser.add_argument("--neighbours", type=int, default=0, help="how many to whiten by")
    options = parser.parse_args(arguments)
    path = ensure_weights(options.model, WeightsSettings.load())
    if path is None:
        raise InvalidInputError(f"{options.model} has no weights of its own to pool after")
    photos = read_photos(options.manifest, [options.split])
    definition, device = definition_of(options.model), Device.named("cpu")
    found = fitted(definition, read_tensors(path), photos, device, options.clip, options.neighbours)
    write_tensors(found, options.out)


if __name__ == "__main__":
    main()
