"""The contract of encoders, and the definition that each model's file gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from encoder_service.execution_plan import ExecutionPlan
from encoder_service.models.weight_sources import WeightsRecipe
from landmarks.photos.decoding_rules import NEWEST, PREVIOUS, DecodingRules

if TYPE_CHECKING:  # serving a prepared model needs no torch, which takes seconds to import
    from torch import nn

    from encoder_service.tensors import Tensors

FloatArray = npt.NDArray[np.float32]
FloatMatrix = npt.NDArray[np.float32]
Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True)
class Revision:
    """What photos are decoded by, and the digest of the vectors that result."""

    digest: str
    decoding: DecodingRules


@dataclass(frozen=True)
class EncoderSpec:
    """The exact identity of an encoder.

    `revisions`, newest first, share the network, and differ in how photos are decoded for it.
    `input_size` is the height and width of the network's input in pixels. A decoder may scale
    photos down as long as neither side gets below `decode_size`; None forbids that.
    """

    name: str
    description: str
    layer: str
    dimension: int
    revisions: tuple[Revision, ...]
    input_size: int
    decode_size: int | None = None

    @property
    def newest(self) -> Revision:
        """The revision that is used where none is requested."""
        return self.revisions[0]

    @property
    def digest(self) -> str:
        """The digest of the newest revision."""
        return self.newest.digest


class Encoder(Protocol):
    """Turns photos into vectors of unit length."""

    @property
    def spec(self) -> EncoderSpec:
        """The identity of this encoder."""

    @property
    def plan(self) -> ExecutionPlan:
        """How it runs."""

    def preprocess(self, image: Image.Image) -> FloatArray:
        """Return one photo (mode RGB, any size) as the network takes it: (3, H, W) float32."""

    def embed(self, batch: FloatArray) -> FloatMatrix:
        """Return unit rows (N, dimension) for preprocessed photos (N, 3, H, W) float32.

        A row is all zeros where the network finds no features in a photo. Up to `plan.workers`
        threads may call it at once.
        """


class Preprocessing(Protocol):
    """How a model preprocesses photos; `settings` go into the digest."""

    @property
    def input_size(self) -> int:
        """Height and width of the result, in pixels."""

    @property
    def decode_size(self) -> int | None:
        """See `EncoderSpec`."""

    def settings(self) -> Mapping[str, Json]:
        """Return every setting that affects the result."""

    def __call__(self, image: Image.Image) -> FloatArray:
        """Return one photo (mode RGB, any size) as (3, H, W) float32."""


@dataclass(frozen=True)
class ModelDefinition:
    """A model: everything but the runtime and the device.

    `build` makes the network from the tensors of `weights` and those of `overlay`, a safetensors
    file of what this project or its user adds to them. The network maps photos (N, 3, H, W) to
    vectors (N, dimension), pooled but not of unit length; `pooling` describes that for the digest.
    Raise `revision` whenever the vectors change for a reason that the digest does not cover, such
    as a change of code in `build` or in the preprocessing. `split` cuts the network in two for
    transfer learning: the frozen part (photos to activations) and the trained part (activations to
    vectors). `bfloat16`: in that precision, each vector's cosine to its single-precision vector
    stays above 0.9999. `decodings`: the rules of each revision that is served, newest first.
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
    overlay: Path | None = None
    split: Callable[[nn.Module], tuple[nn.Module, nn.Module]] | None = None
    bfloat16: bool = False
    decodings: tuple[DecodingRules, ...] = (NEWEST, PREVIOUS)

    def spec(self, tensors: Tensors) -> EncoderSpec:
        """Return the spec of this model with these weights."""
        return EncoderSpec(
            name=self.name,
            description=self.description,
            layer=self.layer,
            dimension=self.dimension,
            revisions=self._revisions(tensors),
            input_size=self.preprocessing.input_size,
            decode_size=self.preprocessing.decode_size,
        )

    def digest(self, tensors: Tensors) -> str:
        """Return the hash of weights, preprocessing, pooling and revision, as 64 hex digits."""
        return self._revisions(tensors)[0].digest

    def _revisions(self, tensors: Tensors) -> tuple[Revision, ...]:
        from encoder_service.tensors import tensors_digest

        weights = tensors_digest(tensors)
        return tuple(Revision(self._digest(weights, one), one) for one in self.decodings)

    def _digest(self, weights: str, decoding: DecodingRules) -> str:
        described = {
            "weights": weights,
            "preprocessing": {**self.preprocessing.settings(), **decoding.settings()},
            "decode_size": self.preprocessing.decode_size,
            "layer": self.layer,
            "pooling": self.pooling,
            "dimension": self.dimension,
            "revision": self.revision,
        }
        return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
