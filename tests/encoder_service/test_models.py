import pytest
import torch
from torch import nn

from encoder_service.models.batchnorm_folding import fold_batchnorm
from encoder_service.models.efficientnet_lite0 import read_checkpoint
from encoder_service.models.scratch_network import DIMENSION, ScratchNetwork


def test_folding_a_norm_into_its_convolution_changes_nothing_but_rounding():
    torch.manual_seed(0)
    network = ScratchNetwork()
    with torch.no_grad():
        for _ in range(3):  # so that the norms have something to do
            network(torch.randn(8, 3, 112, 112) * 2 + 1)
        network.eval()
        photos = torch.randn(2, 3, 112, 112)
        before = network(photos)
        fold_batchnorm(network, {"stem": "stem_norm", "none": "embedding_norm", "neither": "there"})
        for block in network.blocks:
            fold_batchnorm(block, {"conv1": "norm1", "conv2": "norm2", "shortcut": "norm3"})
        assert isinstance(network.blocks[0].norm1, nn.Identity)
        assert isinstance(network.embedding_norm, nn.BatchNorm1d)
        assert torch.allclose(network(photos), before, atol=1e-4)


def test_scratch_is_small_enough_to_commit():
    network = ScratchNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) < 1_000_000
    assert network.eval()(torch.zeros(1, 3, 112, 112)).shape == (1, DIMENSION)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    torch.save({"_conv_stem.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(RuntimeError, match="Missing key"):
        read_checkpoint(tmp_path / "other.pth")
