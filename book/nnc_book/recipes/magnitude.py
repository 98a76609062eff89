"""Shrinking by magnitude: prune the smallest weights little by little, then cluster by k-means.

The pipeline of Han, Mao and Dally, "Deep Compression" (2015), with the gradual schedule of Zhu
and Gupta, "To prune, or not to prune" (2017), equation 1, done by ``torch.nn.utils.prune``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils import prune

from nnc import make_plain, prunable_weights
from nnc.pruning import Quantised, quantise_kmeans
from nnc_book.recipes.job import Job
from nnc_book.recipes.schedules import linear_cooling
from nnc_book.recipes.small import Histories, Settings, train
from nnc_book.recipes.task import Task


@dataclass(frozen=True)
class Magnitude(Settings):
    """Choices of pruning and of k-means. The learning rate is Adam's."""

    prune_epochs: int = 40
    prune_ramp: float = 0.7  # share of the epochs in which the sparsity grows
    prune_learning_rate: float = 1e-3
    target_sparsity: float = 0.975  # over all layers, smallest magnitudes first
    levels: int = 16  # of each layer's codebook, zero among them


def prune_gradually(
    settings: Any, job: Job, task: Task, model: nn.Module
) -> tuple[Quantised, Histories]:
    """Prune after every epoch a little, train on, and cluster what is left."""
    pruned = _prunable(model)
    for module, name in pruned:
        prune.identity(module, name)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.prune_learning_rate, fused=True)

    def measure(epoch: int) -> dict[str, float]:
        _prune_to(pruned, sparsity_after(settings, epoch))
        return {"would_be_sparsity": _zeros(pruned)}

    epochs = settings.prune_epochs
    cool = linear_cooling(task.steps(epochs, settings.batch_size), over=0.3)
    history = train(
        settings,
        job,
        task,
        model,
        "prune",
        epochs=epochs,
        optimiser=optimiser,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimiser, cool),
        measure=measure,
    )
    make_plain(model)
    return quantise_kmeans(model.state_dict(), settings.levels), {"prune": history}


def sparsity_after(settings: Magnitude, epoch: int) -> float:
    """``target (1 - (1 - t)³)``, t the share of the ramp that is over, at most 1."""
    t = min(1.0, epoch / (settings.prune_ramp * settings.prune_epochs))
    return settings.target_sparsity * (1 - (1 - t) ** 3)


def _prunable(model: nn.Module) -> list[tuple[nn.Module, str]]:
    paths = [name.rpartition(".") for name in prunable_weights(model)]
    return [(model.get_submodule(path), attribute) for path, _, attribute in paths]


def _prune_to(pruned: list[tuple[nn.Module, str]], sparsity: float) -> None:
    """Mask the smallest of all weights; those masked before are zero and stay."""
    sizes = [getattr(module, name).detach().abs() for module, name in pruned]
    every = torch.cat([size.flatten() for size in sizes])
    threshold = every.kthvalue(max(1, round(sparsity * len(every)))).values
    for (module, name), size in zip(pruned, sizes, strict=True):
        prune.custom_from_mask(module, name, size > threshold)


def _zeros(pruned: list[tuple[nn.Module, str]]) -> float:
    masks = [getattr(module, f"{name}_mask") for module, name in pruned]
    return 1 - sum(float(m.sum()) for m in masks) / sum(m.numel() for m in masks)
