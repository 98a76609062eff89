"""The prior that the mixture is compared with: one Gaussian, which is L2."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnc.weights import prunable_weights


class GaussianPrior(nn.Module):
    """A Gaussian around zero for every weight: L2 regularisation, or weight decay.

    ``- sum_i log N(w_i | 0, sigma²) = sum_i w_i² / (2 sigma²) + n_w log(sigma sqrt(2 pi))``.

    Args:
        sigma: standard deviation > 0, in units of weights.

    Raises:
        ValueError: sigma is not a positive finite number.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        if not (math.isfinite(sigma) and sigma > 0):
            raise ValueError(f"sigma must be a positive finite number, got {sigma}")
        self.sigma = float(sigma)

    def forward(self, weights: Sequence[Tensor] | nn.Module) -> Tensor:
        """Minus the log density, a scalar in nats. Its gradient is ``w / sigma²``.

        Multiplied by ``tau / n`` it is, for SGD, ``weight_decay = tau / (n sigma²)``.

        Args:
            weights: the prunable tensors, of any shape, or the module that has them.

        Raises:
            ValueError: there are no weights.
        """
        if isinstance(weights, nn.Module):
            weights = list(prunable_weights(weights).values())
        if not weights:
            raise ValueError("weights must hold at least one tensor, got none")
        squares = torch.stack([(w * w).sum() for w in weights]).sum()
        constant = math.log(self.sigma * math.sqrt(2 * math.pi))
        return squares / (2 * self.sigma**2) + sum(w.numel() for w in weights) * constant
