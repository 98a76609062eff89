"""Units and channels without influence: emptied where they stand, or taken out of the tensors."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn

from nnc.models import answer
from nnc.pruning.folding import Layer, Norm, normalised_layers

_TOLERANCE = 1e-4  # of the largest logit, for float32 sums in another order


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


@torch.no_grad()
def remove_empty_units(model: nn.Module, inputs: Tensor) -> nn.Module:
    """A smaller dense network: units and channels without influence are taken out of the tensors.

    First they are emptied (:func:`fold_empty_units`); then every unit whose incoming and outgoing
    weights are all zero goes, from its layer, from the batch norm behind it and from the next
    layer. At least one unit of each layer stays. Unlike a sparse network the result is faster on
    any hardware, by what was removed.

    Args:
        model: layers in a chain, in the order of registration.
        inputs: a few inputs of the model.

    Returns:
        A copy in ``eval`` mode with the same logits and other shapes: it loads into no model of
        the old architecture.

    Raises:
        ValueError: the layers are no chain.
    """
    small = fold_empty_units(model, inputs)
    behind = dict(normalised_layers(small))
    layers = [module for module in small.modules() if isinstance(module, Layer)]
    for layer, following in pairwise(layers):
        grouped = any(getattr(one, "groups", 1) > 1 for one in (layer, following))
        if following.weight.shape[1] % len(layer.weight) == 0 and not grouped:
            kept = _kept_units(layer, following)
            _keep_outputs(layer, kept)
            if layer in behind:
                _keep_outputs(behind[layer], kept)
            _keep_inputs(following, kept)
    return small


def _kept_units(layer: Layer, following: Layer) -> Tensor:
    """Which units of a layer do something; at least one."""
    outgoing = following.weight.view(len(following.weight), len(layer.weight), -1)
    kept = (layer.weight.flatten(1) != 0).any(1) | (outgoing != 0).any(2).any(0)
    kept[0] |= not bool(kept.any())
    return kept


def _keep_outputs(module: Layer | Norm, kept: Tensor) -> None:
    for name, parameter in list(module.named_parameters(recurse=False)):
        setattr(module, name, nn.Parameter(parameter[kept], parameter.requires_grad))
    for name, buffer in list(module.named_buffers(recurse=False)):
        if buffer.dim():
            setattr(module, name, buffer[kept])
    if isinstance(module, Norm):
        module.num_features = int(kept.sum())
    elif isinstance(module, nn.Conv2d):
        module.out_channels = int(kept.sum())
    else:
        module.out_features = int(kept.sum())


def _keep_inputs(following: Layer, kept: Tensor) -> None:
    weight = following.weight
    columns = kept.repeat_interleave(weight.shape[1] // len(kept))
    following.weight = nn.Parameter(weight[:, columns], weight.requires_grad)
    if isinstance(following, nn.Conv2d):
        following.in_channels = int(columns.sum())
    else:
        following.in_features = int(columns.sum())
