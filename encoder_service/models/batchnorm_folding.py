"""Folds batch normalisation into the preceding convolution: the same function, fewer steps."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batchnorm(module: nn.Module, pairs: Mapping[str, str]) -> None:
    """Fold the norms of `module` into its convolutions, in place; `pairs` are convolution to norm.

    Pairs that the module does not have are skipped. The module must be in evaluation mode.
    """
    for convolution_name, norm_name in pairs.items():
        convolution = getattr(module, convolution_name, None)
        norm = getattr(module, norm_name, None)
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, convolution_name, fuse_conv_bn_eval(convolution, norm))
            setattr(module, norm_name, nn.Identity())
