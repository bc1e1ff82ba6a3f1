"""What an encoder is, and what a model's file has to say of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor, nn

from encoder_service.models.recipes import WeightsRecipe
from encoder_service.tensors import Tensors, tensors_digest

FloatMatrix = npt.NDArray[np.float32]
Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True)
class EncoderSpec:
    """What an encoder is, exactly.

    `input_size` is the height and width of the network's input in pixels. A decoder may hand over
    photos scaled down, as long as neither side gets below `decode_size`; None forbids that.
    """

    name: str
    description: str
    layer: str
    dimension: int
    digest: str
    input_size: int
    decode_size: int | None = None


class Encoder(Protocol):
    """Turns photos into vectors of unit length."""

    @property
    def spec(self) -> EncoderSpec:
        """What this encoder is."""

    @property
    def runtime(self) -> str:
        """What runs it, in words: runtime, device, threads."""

    def preprocess(self, image: Image.Image) -> Tensor:
        """Return one photo (mode RGB, any size) as the network takes it: (3, H, W) float32."""

    def embed(self, batch: Tensor) -> FloatMatrix:
        """Return unit rows (N, dimension) for preprocessed photos (N, 3, H, W).

        A row is all zeros where the network finds nothing at all in a photo.
        """


class Preprocessing(Protocol):
    """How a model wants its photos; `settings` say so in the digest."""

    @property
    def input_size(self) -> int:
        """Height and width of the result, in pixels."""

    @property
    def decode_size(self) -> int | None:
        """See `EncoderSpec`."""

    def settings(self) -> Mapping[str, Json]:
        """Return all that decides the result."""

    def __call__(self, image: Image.Image) -> Tensor:
        """Return one photo (mode RGB, any size) as (3, H, W) float32."""


@dataclass(frozen=True)
class ModelDefinition:
    """A model's file, in one value: everything but the runtime and the device.

    `build` makes the network from the tensors of `weights` and those of `over`, a safetensors file
    of what this project or its user adds to them: photos (N, 3, H, W) to vectors (N, dimension),
    pooled but not of unit length. `pooling` says how, for the digest. Raise `revision` whenever the
    vectors change for a reason that the digest does not see, as a change of code in `build` or in
    the preprocessing. `split` cuts the network in two, for transfer learning: what stays as it is
    (photos to activations), and what is trained (activations to vectors).
    """

    name: str
    description: str
    layer: str
    dimension: int
    revision: int
    preprocessing: Preprocessing
    pooling: Json
    weights: WeightsRecipe
    build: Callable[[Tensors], nn.Module]
    over: Path | None = None
    split: Callable[[nn.Module], tuple[nn.Module, nn.Module]] | None = None

    def spec(self, tensors: Tensors) -> EncoderSpec:
        """Return the spec of this model with these weights."""
        return EncoderSpec(
            name=self.name,
            description=self.description,
            layer=self.layer,
            dimension=self.dimension,
            digest=self.digest(tensors),
            input_size=self.preprocessing.input_size,
            decode_size=self.preprocessing.decode_size,
        )

    def digest(self, tensors: Tensors) -> str:
        """Return the hash of weights, preprocessing, pooling and revision, as 64 hex digits."""
        described = {
            "weights": tensors_digest(tensors),
            "preprocessing": self.preprocessing.settings(),
            "decode_size": self.preprocessing.decode_size,
            "layer": self.layer,
            "pooling": self.pooling,
            "dimension": self.dimension,
            "revision": self.revision,
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
