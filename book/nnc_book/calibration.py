"""Calibration: whether a network is right as often as it says it is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Reliability:
    """Predictions sorted into bins of equal width by their confidence.

    Args:
        confidence: mean probability of the predicted class in each bin, float64; NaN where empty.
        accuracy: share of right predictions in each bin, float64; NaN where empty.
        count: number of predictions in each bin, int64.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor

    def error(self) -> float:
        """Expected calibration error: ``sum_b (n_b / n) |accuracy_b - confidence_b|``."""
        filled = self.count > 0
        gaps = (self.accuracy - self.confidence)[filled].abs()
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def reliability(logits: Tensor, labels: Tensor, bins: int = 15) -> Reliability:
    """Confidence and accuracy by bins of confidence, each of width ``1 / bins``.

    A confidence on a border belongs to the bin below it. Source: Guo, Pleiss, Sun and Weinberger,
    "On calibration of modern neural networks" (2017), section 2.

    Args:
        logits: floating point, N × C, N at least 1.
        labels: int64, N.
        bins: how many, at least 1.

    Raises:
        ValueError: shapes do not go together, or there are no bins.
    """
    if logits.dim() != 2 or logits.shape[:1] != labels.shape or 0 in logits.shape:
        raise ValueError(
            f"logits has shape {tuple(logits.shape)} and labels {tuple(labels.shape)}, must be "
            "images × classes and images, not empty"
        )
    if bins < 1:
        raise ValueError(f"bins is {bins}, must be at least 1")
    confidence, predicted = logits.double().softmax(dim=1).max(dim=1)
    right = (predicted == labels).double()
    place = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)
    count = torch.bincount(place, minlength=bins)
    sums = [torch.bincount(place, weights=values, minlength=bins) for values in (confidence, right)]
    return Reliability(sums[0] / count, sums[1] / count, count)


def instructive(logits: Tensor, labels: Tensor) -> Tensor:
    """Positions of 24 images to show, told by rule and not by taste.

    Of each class the first image that is recognised, and the recognised one whose prediction has
    the largest entropy; then the four wrong answers of which the network is surest.
    """
    log_probabilities = logits.log_softmax(dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    right = logits.argmax(dim=1) == labels
    of_class = [torch.nonzero(right & (labels == label)).flatten() for label in range(10)]
    first = torch.stack([members[0] for members in of_class])
    doubtful = torch.stack([members[entropy[members].argmax()] for members in of_class])
    wrong = torch.nonzero(~right).flatten()
    surest = log_probabilities[wrong].amax(dim=1).argsort(descending=True)
    return torch.cat([first, doubtful, wrong[surest[:4]]])
