"""`vgg16_fc7`: the second-to-last layer of a pre-trained VGG16, as in the study.

The weights are torchvision's own (`IMAGENET1K_V1`), as Oxford's original ones are published without
the fully connected layers. Babenko et al., "Neural Codes for Image Retrieval" (2014), search by
this layer.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.preprocessing import Resized
from encoder_service.models.vgg16 import convolutions
from encoder_service.models.weight_sources import FetchedWeights, UrlSource
from encoder_service.tensors import Tensors

DIMENSION = 4096
_SIDE = 7  # of the feature map of 224 × 224 pixels
_LAST = "classifier.6."


def read_torchvision(path: Path) -> Tensors:
    """Return the tensors of torchvision's file, without the last layer, the thousand classes."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {name: tensor for name, tensor in state.items() if not name.startswith(_LAST)}


WEIGHTS = FetchedWeights(
    name="vgg16_fc7",
    # torchvision publishes only the first digits of the file's hash, in the file's name.
    file_sha256="397923af",
    bytes=537_042_176,
    sources=(UrlSource("https://download.pytorch.org/models/vgg16-397923af.pth"),),
    readers={".pth": read_torchvision},
)


class _SecondToLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = convolutions()
        self.classifier = nn.Sequential(
            nn.Linear(512 * _SIDE * _SIDE, 4096),
            nn.ReLU(),
            nn.Dropout(),  # has no effect in evaluation; keeps torchvision's layer numbers
            nn.Linear(4096, DIMENSION),
            nn.ReLU(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        activations: torch.Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return activations


def build(tensors: Tensors) -> nn.Module:
    """Return the network up to the ReLU after its second fully connected layer."""
    with torch.device("meta"):  # the weights are assigned, so no random ones are made
        network = _SecondToLast()
    network.load_state_dict(dict(tensors), strict=True, assign=True)
    return network.eval()


MODEL = ModelDefinition(
    name="vgg16_fc7",
    description="VGG16 trained on ImageNet by torchvision, second-to-last layer.",
    layer="classifier.4: fc7, the second fully connected layer, after its ReLU",
    dimension=DIMENSION,
    revision=1,
    preprocessing=Resized(
        224, "squash", (123.675, 116.28, 103.53), (58.395, 57.12, 57.375), decode_size=448
    ),
    pooling="none",
    weights=WEIGHTS,
    build=build,
)
