"""Frames of a clustering run: what the weights and the mixture looked like after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nnc.files import read_arrays, save_arrays
from nnc.priors import GaussianMixturePrior

LIMIT = 1.0  # weights are counted between ± this; what lies outside counts in the last bin
BINS = 200


class Film:
    """One small file per epoch, so that a run that was stopped and resumed has every frame.

    A frame holds the counts of weights in a grid of initial against current value (``joint``,
    BINS × BINS, rows by initial value, bins even over ± LIMIT) and the mixture's ``means``,
    ``sigmas`` and ``proportions``. Frame 0 is the state before clustering.

    Args:
        folder: where the frames of this run are kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, initial: Sequence[Tensor], prior: GaussianMixturePrior) -> None:
        """Write frame 0."""
        self.add(0, initial, initial, prior)

    def add(
        self,
        epoch: int,
        initial: Sequence[Tensor],
        current: Sequence[Tensor],
        prior: GaussianMixturePrior,
    ) -> None:
        """Write the frame of an epoch; writing it again replaces it."""
        mixture = prior.mixture()
        save_arrays(
            self._folder / f"{epoch:04d}.npz",
            joint=joint_counts(initial, current),
            means=mixture.means.numpy(),
            sigmas=mixture.sigmas.numpy(),
            proportions=mixture.proportions.numpy(),
        )

    def save(self, path: Path) -> tuple[Path, ...]:
        """Put all frames into one file, stacked, and return its path."""
        frames = [read_arrays(frame) for frame in sorted(self._folder.glob("*.npz"))]
        if not frames:
            return ()
        stacked = {key: np.stack([frame[key] for frame in frames]) for key in frames[0]}
        return (save_arrays(path, **stacked),)


def joint_counts(initial: Sequence[Tensor], current: Sequence[Tensor]) -> np.ndarray:
    """Number of weights by initial (row) and current (column) value, BINS × BINS, uint32."""
    rows, columns = (
        _bins(torch.cat([w.detach().flatten() for w in ws])) for ws in (initial, current)
    )
    counts = torch.bincount(rows * BINS + columns, minlength=BINS * BINS)
    return counts.reshape(BINS, BINS).numpy().astype(np.uint32)


def _bins(weights: Tensor) -> Tensor:
    return ((weights + LIMIT) / (2 * LIMIT) * BINS).long().clamp(0, BINS - 1)
