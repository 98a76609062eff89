"""What experiments with distillation need besides the loss: controls, and a correction."""

from __future__ import annotations

import torch
from torch import Tensor


def shuffle_wrong_classes(logits: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Logits whose values for the wrong classes change places at random, image by image.

    What is left of a teacher that way is how sure it was of each image; which classes it finds
    alike is gone. So this is the control that tells dark knowledge from smoothing.

    Args:
        logits: N × C.
        labels: int64, N, the right class of each image, whose value stays where it is.
        generator: a CPU one.

    Returns:
        Logits of the same shape and type.
    """
    count, classes = logits.shape
    wrong = (
        torch.arange(classes)
        .expand(count, classes)[torch.arange(classes) != labels[:, None]]
        .view(count, classes - 1)
    )
    order = torch.rand(wrong.shape, generator=generator).argsort(dim=1)
    return logits.scatter(1, wrong, logits.gather(1, wrong.gather(1, order)))


def best_shift(logits: Tensor, labels: Tensor, classes: Tensor) -> float:
    """The number that, added to the logits of some classes, gives the fewest errors.

    A student that never saw some classes has learnt of them from its teacher, but says them too
    rarely; one number puts that right. Source: Hinton, Vinyals and Dean (2015), section 3.

    Every error depends on one threshold per image, so the numbers between neighbouring thresholds
    are all that can differ; of equally good ones the middle of the widest gap is taken.

    Args:
        logits: N × C.
        labels: int64, N.
        classes: int64, the classes that are moved together, not all of them.

    Returns:
        The number, in units of logits.
    """
    others = torch.ones(logits.shape[1], dtype=torch.bool)
    others[classes] = False
    values = logits.double()
    # Above its threshold an image is given to the best of the moved classes, below to another.
    best_moved, best_other = values[:, classes].max(dim=1), values[:, others].max(dim=1)
    threshold, order = (best_other.values - best_moved.values).sort()
    right_above = (classes[best_moved.indices] == labels)[order].long()
    right_below = (torch.nonzero(others).flatten()[best_other.indices] == labels)[order].long()
    # Entry i: right answers when i thresholds lie below the number.
    right = torch.cat([torch.zeros(1, dtype=torch.int64), right_above.cumsum(0)])
    right += right_below.sum() - torch.cat([right[:1], right_below.cumsum(0)])
    edges = torch.cat([threshold[:1] - 1, threshold, threshold[-1:] + 1])
    widths = edges.diff()
    widths[right < right.max()] = -1
    place = int(widths.argmax())
    return float((edges[place] + edges[place + 1]) / 2)
