"""Equal networks with less in them: batch norm folded, units without influence emptied.

Each returns a changed copy that gives the same logits in ``eval`` mode. Shapes stay, so
the copy loads wherever the network did; what was emptied is zero and costs next to nothing in a
file.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnc.models import answer

Layer = nn.Linear | nn.Conv2d
Norm = nn.BatchNorm1d | nn.BatchNorm2d
_TOLERANCE = 1e-4  # of the largest logit, for float32 sums in another order


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


@torch.no_grad()
def fold_empty_units(model: nn.Module, inputs: Tensor) -> nn.Module:
    """Empty units and channels that do nothing, or do the same for every input.

    A unit whose incoming weights are all zero puts out a constant; it is added to the bias of the
    next layer, and the unit's bias and outgoing weights become zero. A unit whose outgoing weights
    are all zero has no influence; its incoming weights and bias become zero. Repeated until
    nothing changes. A constant that is not zero stays where the next layer pads with zeros or has
    no bias.

    Args:
        model: layers in a chain, in the order of registration; the copy is in ``eval`` mode.
        inputs: a few inputs of the model, to find the constants and to check the result.

    Raises:
        ValueError: the logits differ, because the layers are no chain.
    """
    folded = copy.deepcopy(model).eval()
    layers = [module for module in folded.modules() if isinstance(module, Layer)]
    before = answer(folded, inputs)
    while any(_empty(folded, one, other, inputs) for one, other in pairwise(layers)):
        pass
    difference = (folded(inputs) - before).abs().max()
    if not difference <= _TOLERANCE * before.abs().max().clamp(min=1):
        told = f"model {type(model).__name__} changed its logits by {difference:.3g}"
        raise ValueError(f"{told}: its layers are no chain in the order of registration")
    return folded


def _empty(model: nn.Module, layer: Layer, following: Layer, inputs: Tensor) -> bool:
    """Empty the units between two layers; whether anything changed."""
    units = len(layer.weight)
    if not _fits(layer, following):
        return False
    outgoing = following.weight.view(len(following.weight), units, -1)
    constant = _constants(model, following, inputs, units)
    dead = (layer.weight.flatten(1) == 0).all(1)
    unused = (outgoing == 0).all(2).all(0)
    padded = isinstance(following, nn.Conv2d) and following.padding not in (0, (0, 0), "valid")
    if padded or following.bias is None:
        dead &= constant == 0
    dead &= ~torch.isnan(constant)
    changed = bool((outgoing[:, dead] != 0).any())
    if following.bias is not None:
        following.bias += (outgoing[:, dead].sum(2) @ constant[dead]).to(following.bias.dtype)
    outgoing[:, dead] = 0
    silent = dead | unused
    norms = [norm for normalised, norm in normalised_layers(model) if normalised is layer]
    modules = [layer, *(norm for norm in norms if norm.affine)]
    for tensor in (t.data for m in modules for t in (m.weight, m.bias) if t is not None):
        changed |= bool((tensor[silent] != 0).any())
        tensor[silent] = 0
    return changed


def _fits(layer: Layer, following: Layer) -> bool:
    """Whether each input of a layer can belong to one unit of the layer before."""
    units, columns = len(layer.weight), following.weight.shape[1]
    if isinstance(following, nn.Conv2d):
        return columns == units and following.groups == 1
    return columns % units == 0


def _constants(model: nn.Module, following: Layer, inputs: Tensor, units: int) -> Tensor:
    """What each unit hands to the next layer, NaN where it varies."""
    seen: list[Tensor] = []
    hook = following.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model(inputs)
    hook.remove()
    values = seen[0].reshape(len(inputs), units, -1).transpose(0, 1).flatten(1)
    low, high = values.min(1).values, values.max(1).values
    return torch.where(low == high, low, torch.nan)
