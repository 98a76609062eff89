"""Gradual magnitude pruning, with which sharing is compared: the schedule, and the masks.

Sources: Han, Mao and Dally, "Deep Compression" (2015), for the pipeline; Zhu and Gupta, "To prune,
or not to prune" (2017), equation 1, for the schedule.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils import prune

from nnc import prunable_weights

Place = tuple[nn.Module, str]


def maskable(model: nn.Module) -> list[Place]:
    """The modules and attributes of all prunable weights, each with a mask that hides nothing."""
    paths = [name.rpartition(".") for name in prunable_weights(model)]
    places = [(model.get_submodule(path), attribute) for path, _, attribute in paths]
    for module, name in places:
        prune.identity(module, name)
    return places


def sparsity_after(share: float, target: float) -> float:
    """``target (1 - (1 - t)³)``, t the share of the schedule that is over, at most 1."""
    return target * (1 - (1 - min(1.0, share)) ** 3)


def prune_to(pruned: list[Place], sparsity: float) -> float:
    """Mask the smallest of all weights and return their share; those masked before stay zero."""
    sizes = [getattr(module, name).detach().abs() for module, name in pruned]
    every = torch.cat([size.flatten() for size in sizes])
    threshold = every.kthvalue(max(1, round(sparsity * len(every)))).values
    for (module, name), size in zip(pruned, sizes, strict=True):
        prune.custom_from_mask(module, name, size > threshold)
    masks = [getattr(module, f"{name}_mask") for module, name in pruned]
    return 1 - sum(float(mask.sum()) for mask in masks) / len(every)
