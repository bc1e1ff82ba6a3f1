"""The offset of a pre-trained model's pooling: `python -m encoder_service.training.offset`.

The mean of unlabelled photos' vectors, most of which is then taken from each vector. No landmark's
name is read.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from encoder_service.models.contract import ModelDefinition
from encoder_service.models.pooling import CentredPool
from encoder_service.models.preprocessing import Resized
from encoder_service.models.registry import definition_of
from encoder_service.settings import WeightsSettings
from encoder_service.tensors import Tensors, read_tensors, write_tensors
from encoder_service.training.data import normalised, read_pixels
from encoder_service.training.loop import Device, vectors
from encoder_service.weights import ensure_weights
from evaluation.photos import LabelledPhoto, read_photos
from landmarks.errors import InvalidInputError

# All of it would be right for photos like these; photos of other places have other means.
_SHARE = 0.75
_BATCH = 32


def pool_of(network: nn.Module) -> CentredPool:
    """Return a network's pooling."""
    (pool,) = (part for part in network.modules() if isinstance(part, CentredPool))
    return pool


def centre(network: nn.Module, inputs: Iterable[torch.Tensor], device: Device) -> torch.Tensor:
    """Set the offset of a network's pooling to what `inputs` have in common, in place; return it.

    (dimension,), float32.
    """
    pool = pool_of(network)
    # A projection comes after the offset, and has no part in it.
    projection, pool.projection = pool.projection, nn.Identity()
    with torch.no_grad():
        pool.offset.zero_()
        mean = torch.from_numpy(vectors(network, inputs, device)).mean(dim=0)
        pool.offset.copy_(mean * _SHARE)
    pool.projection = projection
    return pool.offset.detach().cpu()


def offset_of(
    definition: ModelDefinition, tensors: Tensors, photos: Sequence[LabelledPhoto], device: Device
) -> torch.Tensor:
    """Return the offset (dimension,), float32; `tensors` are the weights without one."""
    preprocessing = definition.preprocessing
    if not isinstance(preprocessing, Resized):
        raise InvalidInputError(f"the preprocessing of {definition.name} is not known here")
    batches = (
        normalised(read_pixels(photos[at : at + _BATCH], preprocessing.input_size), preprocessing)
        for at in range(0, len(photos), _BATCH)
    )
    network = definition.build(tensors).to(device.name).to(memory_format=torch.channels_last)
    return centre(network, batches, device)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the offset of a model, over the photos of one split, as safetensors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--split", default="train")
    options = parser.parse_args(arguments)
    path = ensure_weights(options.model, WeightsSettings.load())
    if path is None:
        raise InvalidInputError(f"{options.model} has no weights of its own to pool after")
    photos = read_photos(options.manifest, [options.split])
    definition, device = definition_of(options.model), Device.named("cpu")
    offset = offset_of(definition, read_tensors(path), photos, device)
    write_tensors({"pool.offset": offset}, options.out)


if __name__ == "__main__":
    main()
