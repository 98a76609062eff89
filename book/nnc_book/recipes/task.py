"""What a network learns, as a value that several stages and recipes share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from nnc.data import Split, as_input
from nnc.pruning import Quantised
from nnc.training import Batch, cross_entropy

_STATISTICS = 20  # batches of 128 from which batch norm's statistics are taken anew


@dataclass(frozen=True, eq=False)
class Task:
    """What a network learns while it is made small.

    Args:
        build: makes the architecture.
        training, validation: the images.
        loss: the error term.
        views: a schedule of augmented images, or None for the images as they are.
    """

    build: Callable[[], nn.Module]
    training: Split
    validation: Split
    loss: Callable[[Tensor, Batch], Tensor] = cross_entropy
    views: Callable[[int], Tensor] | None = None

    def steps(self, epochs: int, batch_size: int) -> int:
        """Number of optimiser steps in so many epochs."""
        return epochs * (len(self.training) // batch_size)

    def with_statistics(self, model: nn.Module) -> nn.Module:
        """The model, its batch norm's statistics taken anew; without batch norm as it is.

        Weights that were moved at once, by quantising them, leave the statistics behind.
        """
        images = self.training.images[: _STATISTICS * 128].split(128)
        update_bn((as_input(batch) for batch in images), model)
        return model

    def rebuilt(self, quantised: Quantised) -> nn.Module:
        """A quantised network as a model."""
        return self.with_statistics(quantised.load_into(self.build()))
