"""`scratch`: a small CNN trained from scratch by this project, on the landmark photos alone."""

from __future__ import annotations

from torch import nn

from encoder_service.models.base import ModelDefinition
from encoder_service.models.batchnorm_folding import fold_batchnorm
from encoder_service.models.preprocessing import Resized
from encoder_service.models.scratch_network import DIMENSION, ScratchNetwork
from encoder_service.models.shipped_weights import shipped
from encoder_service.models.weight_sources import CommittedWeights
from encoder_service.tensors import Tensors

# Squashed, as in training: half of the training photos were already square.
PREPROCESSING = Resized(112, "squash", (127.5,) * 3, (64.0,) * 3, decode_size=224)
WEIGHTS = shipped("scratch.safetensors")


def build(tensors: Tensors) -> nn.Module:
    """Return the network with these weights, stored in half precision and run in single."""
    network = ScratchNetwork()
    state = {name: tensor.float() for name, tensor in tensors.items()}
    # The file leaves out the counters that only training reads.
    counters = {n: t for n, t in network.state_dict().items() if n.endswith("num_batches_tracked")}
    network.load_state_dict({**state, **counters}, strict=True)
    network.eval()
    fold_batchnorm(network, {"stem": "stem_norm"})
    for block in network.blocks:
        fold_batchnorm(block, {"conv1": "norm1", "conv2": "norm2", "shortcut": "norm3"})
    return network


MODEL = ModelDefinition(
    name="scratch",
    description="Small CNN trained from scratch on 50 landmarks; 0.9 million parameters.",
    layer="embedding_norm: the layer before the classifier",
    dimension=DIMENSION,
    revision=1,
    preprocessing=PREPROCESSING,
    pooling="mean",
    weights=CommittedWeights(WEIGHTS),
    build=build,
)
