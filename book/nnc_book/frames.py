"""Frames of a clustering run: what the weights and the mixture looked like after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nnc import prunable_weights
from nnc.priors import GaussianMixturePrior
from nnc_book.arrays import read_arrays, save_arrays

LIMIT = 1.0  # weights are counted between ± this; what lies outside counts in the last bin
BINS = 200


class Film:
    """One small file per epoch, so that a run that was stopped and resumed has every frame.

    A frame holds the counts of weights in a grid of initial against current value (``joint``,
    BINS × BINS, rows by initial value, bins even over ± LIMIT) and the mixture's ``means``,
    ``sigmas`` and ``proportions``. Frame 0 is the state before clustering, written at once.

    Args:
        folder: where the frames of this run are kept.
        model, prior: what is filmed.
    """

    def __init__(self, folder: Path, model: nn.Module, prior: GaussianMixturePrior) -> None:
        self._folder, self._prior = folder, prior
        self._weights = list(prunable_weights(model).values())
        self._initial = [weight.detach().clone() for weight in self._weights]
        self.add(0)

    def add(self, epoch: int) -> None:
        """Write the frame of an epoch; writing it again replaces it."""
        mixture = self._prior.mixture()
        save_arrays(
            self._folder / f"{epoch:04d}.npz",
            joint=joint_counts(self._initial, self._weights),
            means=mixture.means.numpy(),
            sigmas=mixture.sigmas.numpy(),
            proportions=mixture.proportions.numpy(),
        )

    def save(self, path: Path) -> Path:
        """Put all frames into one file, stacked, and return its path."""
        frames = [read_arrays(frame) for frame in sorted(self._folder.glob("*.npz"))]
        return save_arrays(path, **{k: np.stack([f[k] for f in frames]) for k in frames[0]})


def joint_counts(initial: Sequence[Tensor], current: Sequence[Tensor]) -> np.ndarray:
    """Number of weights by initial (row) and current (column) value, BINS × BINS, uint32."""
    rows, columns = (
        _bins(torch.cat([w.detach().flatten() for w in ws])) for ws in (initial, current)
    )
    counts = torch.bincount(rows * BINS + columns, minlength=BINS * BINS)
    return counts.reshape(BINS, BINS).numpy().astype(np.uint32)


def _bins(weights: Tensor) -> Tensor:
    return ((weights + LIMIT) / (2 * LIMIT) * BINS).long().clamp(0, BINS - 1)
