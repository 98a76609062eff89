"""An equal network with fewer numbers in it: bias and batch norm as one scale and one shift."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn

Layer = nn.Linear | nn.Conv2d
Norm = nn.BatchNorm1d | nn.BatchNorm2d


@torch.no_grad()
def fold_batch_norm(model: nn.Module) -> nn.Module:
    """Bring bias and batch norm behind every layer to one scale and one shift per channel.

    ``gamma (x + bias - mean) / sqrt(variance + eps) + beta`` is ``scale x + shift``: the layer's
    bias and the mean become 0, the variance 1 - eps, and gamma and beta take scale and shift.
    The copy is in ``eval`` mode, the only one in which the two are equal.

    Args:
        model: layers directly followed by their batch norm, in the order of registration.
    """
    folded = copy.deepcopy(model).eval()
    for layer, norm in normalised_layers(folded):
        _fold(layer, norm)
    return folded


def normalised_layers(model: nn.Module) -> list[tuple[Layer, Norm]]:
    """The layers that a batch norm directly follows in the order of registration, each with it."""
    leaves = [module for module in model.modules() if not list(module.children())]
    return [
        (layer, norm)
        for layer, norm in pairwise(leaves)
        if isinstance(layer, Layer) and isinstance(norm, Norm)
    ]


def _fold(layer: Layer, norm: Norm) -> None:
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or not norm.affine:
        return
    scale = norm.weight.double() * (variance.double() + norm.eps).rsqrt()
    bias = layer.bias.double() if layer.bias is not None else 0.0
    norm.bias.copy_(norm.bias.double() + scale * (bias - mean.double()))
    norm.weight.copy_(scale)
    mean.zero_()
    variance.fill_(1 - norm.eps)
    if layer.bias is not None:
        layer.bias.zero_()
    if norm.num_batches_tracked is not None:
        norm.num_batches_tracked.zero_()
