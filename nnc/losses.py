"""Knowledge distillation: softened outputs, and the loss of a student that learns from them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def soft_targets(logits: Tensor, temperature: float) -> Tensor:
    """Class probabilities at a temperature: ``softmax(logits / T)`` over the classes.

    T = 1 is the usual softmax; a larger T brings the small probabilities up, towards a uniform
    distribution. Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network"
    (2015), equation 1.

    Args:
        logits: floating point, N × C.
        temperature: T, positive and finite.

    Returns:
        Probabilities, N × C, each row summing to 1.

    Raises:
        ValueError: logits have another shape or type, or the temperature is out of range.
    """
    _check_logits("logits", logits)
    _check_temperature(temperature)
    return functional.softmax(logits / temperature, dim=1)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor | None = None,
    *,
    temperature: float,
    alpha: float,
) -> Tensor:
    """Loss of a student that learns from labels and from a teacher.

    ``(1 - alpha) CE(student, labels) + alpha T² KL(softmax(teacher / T) ‖ softmax(student / T))``,
    both terms summed over the classes and averaged over the batch, in nats. The factor T² keeps
    the gradient of the second term of one size as T grows, which it is exactly only where all
    logits are small against T. No gradient reaches the teacher. Source: Hinton, Vinyals and Dean
    (2015), sections 2 and 2.1.

    Args:
        student_logits: floating point, N × C, N at least 1.
        teacher_logits: N × C, for the same images in the same order.
        labels: int64, N, class numbers; None where there are none, and then alpha must be 1.
        temperature: T of both distributions, positive and finite.
        alpha: weight of the teacher's term, from 0 (labels alone) to 1 (teacher alone).

    Returns:
        A scalar tensor, at least 0.

    Raises:
        ValueError: shapes or types do not go together, or a number is out of range.
    """
    _check_logits("student_logits", student_logits)
    _check_logits("teacher_logits", teacher_logits)
    _check_temperature(temperature)
    if student_logits.shape != teacher_logits.shape or len(student_logits) == 0:
        raise ValueError(
            f"student_logits has shape {tuple(student_logits.shape)} and teacher_logits "
            f"{tuple(teacher_logits.shape)}, must be equal and not empty; give both networks the "
            "same images and classes"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, must lie from 0 (labels alone) to 1 (teacher alone)")
    soft = _soft_term(student_logits, teacher_logits.detach(), temperature)
    if labels is None:
        if alpha != 1:
            raise ValueError(f"alpha is {alpha} without labels, must be 1; or give the labels")
        return soft
    _check_labels(labels, student_logits)
    if alpha == 1:
        return soft
    return (1 - alpha) * functional.cross_entropy(student_logits, labels) + alpha * soft


def _soft_term(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``T² KL(teacher ‖ student)`` at T, mean over the batch."""
    # kl_div takes the log-probabilities that are judged first, and the target second.
    divergence = functional.kl_div(
        functional.log_softmax(student / temperature, dim=1),
        functional.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def _check_logits(name: str, logits: Tensor) -> None:
    if logits.dim() != 2 or logits.shape[1] == 0 or not logits.is_floating_point():
        raise ValueError(
            f"{name} is {logits.dtype} of shape {tuple(logits.shape)}, must be floating point of "
            "shape images × classes; softmax is taken over the classes"
        )


def _check_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}, must be positive and finite")


def _check_labels(labels: Tensor, logits: Tensor) -> None:
    if labels.dtype != torch.int64 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"labels is {labels.dtype} of shape {tuple(labels.shape)}, must be torch.int64 of "
            f"shape ({len(logits)},): class numbers, not one-hot vectors"
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= logits.shape[1]:
        raise ValueError(
            f"labels run from {low} to {high}, must lie below the {logits.shape[1]} classes"
        )
