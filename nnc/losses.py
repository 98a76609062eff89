"""Knowledge distillation: softened outputs, and the loss of a student that learns from them.

Classes stand on dimension 1, as torch's own ``cross_entropy`` has them (N × C, N × C × T,
N × C × H × W), or on another one that is named: ``dim=-1`` for the tokens of a language model.
Logits in half precision are computed with in float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Reduction = Literal["mean", "sum", "none"]
_REDUCTIONS = ("mean", "sum", "none")
_HALF = (torch.float16, torch.bfloat16)
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


def soft_targets(logits: Tensor, temperature: float, *, dim: int = 1) -> Tensor:
    """Class probabilities at a temperature: ``softmax(logits / T)`` over the classes.

    T = 1 is the usual softmax; a larger T brings the small probabilities up, towards a uniform
    distribution. Source: Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network"
    (2015), equation 1.

    Args:
        logits: floating point, of two or more dimensions, classes on dimension ``dim``.
        temperature: T, positive and finite.
        dim: the dimension of the classes.

    Returns:
        Probabilities of the shape of ``logits``, summing to 1 over the classes.

    Raises:
        ValueError: logits have another shape or type, or a number is out of range.
    """
    _check_logits("logits", logits, dim)
    _check_temperature(temperature)
    return functional.softmax(_wide(logits) / temperature, dim=dim)


def distillation_loss(
    student_logits: Tensor,
    teacher_logits: Tensor | Sequence[Tensor],
    labels: Tensor | None = None,
    *,
    temperature: float,
    alpha: float,
    dim: int = 1,
    mask: Tensor | None = None,
    ignore_index: int = -100,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """Loss of a student that learns from labels and from one teacher or several.

    ``(1 - alpha) CE(student, labels) + alpha T² KL(softmax(teacher / T) ‖ softmax(student / T))``,
    in nats, both terms summed over the classes and averaged over the positions that count. A
    position is an image, a pixel or a token: what is left of the logits' shape without the
    classes. The factor T² keeps the gradient of the second term of one size as T grows, which it
    is exactly only where all logits are small against T. No gradient reaches the teacher. Of
    several teachers the mean of the probabilities at T is taught, not the softmax of the mean
    logits. Source: Hinton, Vinyals and Dean (2015), sections 2, 2.1 and 5.

    Args:
        student_logits: floating point, of two or more dimensions, at least one position. A class
            that student and teacher both exclude with minus infinity counts nothing.
        teacher_logits: of the same shape, for the same images in the same order; or a sequence
            of such tensors, one for each teacher.
        labels: class numbers, of any integer type, one for each position; None where there are
            none, and then alpha must be 1.
        temperature: T of both distributions, positive and finite.
        alpha: weight of the teacher's term, from 0 (labels alone) to 1 (teacher alone).
        dim: the dimension of the classes.
        mask: bool, one for each position; False leaves the position out of both terms.
        ignore_index: the label of positions that are left out of both terms.
        weight: C, how much each class counts in the labels' term, as in ``cross_entropy``.
        reduction: ``"mean"`` over the positions that count (0 where none does), ``"sum"``, or
            ``"none"`` for a value at each position, 0 at those left out.

    Returns:
        A scalar tensor, at least 0; with ``"none"`` one value for each position.

    Raises:
        ValueError: shapes or types do not go together, or a number is out of range. Labels
            beyond the classes are found on the processor alone: to look would make a GPU wait.
    """
    teachers = (teacher_logits,) if isinstance(teacher_logits, Tensor) else tuple(teacher_logits)
    _check_logits("student_logits", student_logits, dim)
    _check_teachers(teachers, student_logits, dim)
    _check_numbers(temperature, alpha, reduction, without_labels=labels is None)
    student = _wide(student_logits).movedim(dim, 1)
    counted = _counted(student, labels, mask, ignore_index)
    terms = []
    if alpha > 0:
        taught = [_wide(teacher.detach()).to(student).movedim(dim, 1) for teacher in teachers]
        soft = _reduced(_divergence(student, taught, temperature), counted, reduction)
        terms.append(alpha * (temperature**2 * soft))
    if labels is not None and alpha < 1:
        hard = _labels_term(student, labels, counted, ignore_index, weight, reduction)
        terms.append((1 - alpha) * hard)
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _wide(logits: Tensor) -> Tensor:
    """Half precision has too few digits for sums over many classes."""
    return logits.float() if logits.dtype in _HALF else logits


def _divergence(student: Tensor, teachers: Sequence[Tensor], temperature: float) -> Tensor:
    """``KL(teacher ‖ student)`` at T for each position, classes on dimension 1."""
    taught = [functional.log_softmax(teacher / temperature, dim=1) for teacher in teachers]
    target = taught[0]
    if len(taught) > 1:
        target = torch.stack(taught).logsumexp(dim=0) - math.log(len(taught))
    gap = target - functional.log_softmax(student / temperature, dim=1)
    # Where the teacher gives a class nothing, 0 log 0 is 0, whatever the student gives it.
    share = target.exp()
    return (share * gap.masked_fill(share == 0, 0)).sum(dim=1)


def _labels_term(
    student: Tensor,
    labels: Tensor,
    counted: Tensor | None,
    ignore_index: int,
    weight: Tensor | None,
    reduction: Reduction,
) -> Tensor:
    """``CE(student, labels)``, the mean weighted by the classes' weights."""
    labels = labels.long()
    if counted is not None:
        labels = labels.masked_fill(~counted, ignore_index)
    weight = weight if weight is None else weight.to(student)
    way = "none" if reduction == "none" else "sum"
    total = functional.cross_entropy(
        student, labels, weight, ignore_index=ignore_index, reduction=way
    )
    if reduction != "mean":
        return total
    kept = labels != ignore_index
    sizes = kept if weight is None else weight[labels.where(kept, 0)] * kept
    return total / _at_least_some(sizes.sum())


def _reduced(values: Tensor, counted: Tensor | None, reduction: Reduction) -> Tensor:
    """Values of positions brought to the shape asked for."""
    if counted is not None:
        values = values.masked_fill(~counted, 0)
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    return values.mean() if counted is None else values.sum() / _at_least_some(counted.sum())


def _at_least_some(size: Tensor) -> Tensor:
    """The size, or 1 where nothing counts, so that an empty sum divides to 0 and not to NaN."""
    return torch.where(size == 0, 1, size)


def _counted(
    student: Tensor, labels: Tensor | None, mask: Tensor | None, ignore_index: int
) -> Tensor | None:
    """Which positions count; None where all do and nobody has to look."""
    positions = student.shape[:1] + student.shape[2:]
    if mask is not None and (mask.dtype != torch.bool or mask.shape != positions):
        raise ValueError(
            f"mask is {mask.dtype} of shape {tuple(mask.shape)}, must be torch.bool of shape "
            f"{tuple(positions)}: one for each position of the logits"
        )
    if labels is None:
        return mask
    _check_labels(labels, positions, student.shape[1], ignore_index)
    kept = labels != ignore_index
    return kept if mask is None else kept & mask


def _check_logits(name: str, logits: Tensor, dim: int) -> None:
    if logits.dim() < 2 or not logits.is_floating_point():
        raise ValueError(
            f"{name} is {logits.dtype} of shape {tuple(logits.shape)}, must be floating point of "
            "two or more dimensions, images × classes; softmax is taken over the classes"
        )
    if not -logits.dim() <= dim < logits.dim():
        raise ValueError(
            f"dim is {dim}, must name one of the {logits.dim()} dimensions of {name}, "
            f"{tuple(logits.shape)}; give that of the classes"
        )
    if logits.shape[dim] == 0:
        raise ValueError(f"{name} has shape {tuple(logits.shape)}, must have at least one class")


def _check_teachers(teachers: Sequence[Tensor], student: Tensor, dim: int) -> None:
    if not teachers:
        raise ValueError("teacher_logits is empty, must hold the logits of at least one teacher")
    for teacher in teachers:
        _check_logits("teacher_logits", teacher, dim)
        if teacher.shape != student.shape or student.numel() == 0:
            raise ValueError(
                f"student_logits has shape {tuple(student.shape)} and teacher_logits "
                f"{tuple(teacher.shape)}, must be equal and not empty; give both networks the "
                "same images and classes"
            )


def _check_numbers(
    temperature: float, alpha: float, reduction: Reduction, without_labels: bool
) -> None:
    _check_temperature(temperature)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}, must lie from 0 (labels alone) to 1 (teacher alone)")
    if without_labels and alpha != 1:
        raise ValueError(f"alpha is {alpha} without labels, must be 1; or give the labels")
    if reduction not in _REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}, must be one of {', '.join(_REDUCTIONS)}")


def _check_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature is {temperature}, must be positive and finite")


def _check_labels(labels: Tensor, positions: torch.Size, classes: int, ignore_index: int) -> None:
    if labels.dtype not in _WHOLE or labels.shape != positions:
        raise ValueError(
            f"labels is {labels.dtype} of shape {tuple(labels.shape)}, must be of an integer type "
            f"and of shape {tuple(positions)}: class numbers, not one-hot vectors"
        )
    if labels.device.type != "cpu" or torch.compiler.is_compiling():
        return
    named = labels[labels != ignore_index]
    if len(named) and not (0 <= (low := int(named.min())) <= (high := int(named.max())) < classes):
        raise ValueError(
            f"labels run from {low} to {high}, must lie below the {classes} classes, or be "
            f"ignore_index, {ignore_index}"
        )
