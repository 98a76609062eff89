"""Knowledge distillation: softened outputs, and the loss of a student that learns from them.

Classes stand on dimension 1, as torch's own ``cross_entropy`` has them (N × C, N × C × T,
N × C × H × W), or on another one that is named: ``dim=-1`` for the tokens of a language model.
Logits of less than 32 bits are computed with in float32. Another shape or type, or a number out
of range, is a ValueError.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nnc.hints import check, said
from nnc.weights import wide

Reduction = Literal["mean", "sum", "none"]
_REDUCTIONS = ("mean", "sum", "none")


def soft_targets(logits: Tensor, temperature: float, *, dim: int = 1) -> Tensor:
    """Class probabilities at a temperature: ``softmax(logits / T)`` over the classes.

    They have the shape of ``logits`` and are at least float32. T = 1 is the usual softmax; a larger
    T brings the small probabilities up, towards a uniform distribution. Source: Hinton, Vinyals
    and Dean, "Distilling the knowledge in a neural network" (2015), equation 1.

    Args:
        logits: floating point, of two or more dimensions, classes on dimension ``dim``.
        temperature: T, positive and finite.
        dim: the dimension of the classes.

    Raises:
        ValueError: logits have another shape or type, or a number is out of range.
    """
    _check_logits("logits", logits, dim)
    check("temperature", temperature, 0 < temperature < math.inf, "positive and finite")
    return functional.softmax(wide(logits) / temperature, dim=dim)


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
        labels: class numbers from 0, of any integer type, one for each position; None where
            there are none, and then alpha must be 1.
        temperature: T of both distributions, positive and finite.
        alpha: weight of the teacher's term, from 0 (labels alone) to 1 (teacher alone).
        dim: the dimension of the classes.
        mask: bool, one for each position; False leaves the position out of both terms, and what
            stands there, NaN too, reaches neither the loss nor its gradient.
        ignore_index: the label of positions that are left out likewise.
        weight: C, how much each class counts in the labels' term, as in ``cross_entropy``.
        reduction: ``"mean"`` over the positions that count (0 where none does), ``"sum"``, or
            ``"none"`` for a value at each position, 0 at those left out.

    Returns:
        A scalar tensor, at least 0; with ``"none"`` one value for each position.

    Raises:
        ValueError: shapes or types do not go together, or a number is out of range. Labels
            beyond the classes are found on the processor alone: to look would make a GPU wait.
    """
    student, *taught = _checked(student_logits, teacher_logits, dim)
    check("temperature", temperature, 0 < temperature < math.inf, "positive and finite")
    check("alpha", alpha, 0 <= alpha <= 1, "from 0 (labels alone) to 1 (teacher alone)")
    check("alpha", alpha, alpha == 1 or labels is not None, "1 without labels; or give labels")
    check("reduction", reduction, reduction in _REDUCTIONS, "mean, sum or none")
    *positions, classes = student_logits.movedim(dim, -1).shape
    _check_beside("labels", labels, "integer", positions, student_logits)
    _check_beside("mask", mask, "bool", positions, student_logits)
    _check_beside("weight", weight, "floating point", [classes], student_logits)
    if student.dim() < student_logits.dim():
        labels, mask = (given if given is None else given.flatten() for given in (labels, mask))
    # Widened before they are compared: among uint8, -100 is 156.
    labels = labels if labels is None else labels.long()
    counted = _counted(labels, mask, classes, ignore_index)
    if counted is not None:
        student = student.masked_fill(~counted.unsqueeze(1), 0)
    terms = []
    if labels is not None and alpha < 1:
        terms.append((1 - alpha) * _labels_term(student, labels, counted, weight, reduction))
    if alpha > 0:
        products = _divergence(student, taught, temperature, counted)
        summed = products.sum(dim=1) if reduction == "none" else products.sum()
        size = _size(positions, counted, student.dtype) if reduction == "mean" else 1
        terms.append(alpha * temperature**2 / size * summed)
    loss = terms[0] if len(terms) == 1 else terms[0] + terms[1]
    return loss.reshape(positions) if reduction == "none" else loss


def _checked(student: Tensor, teachers: Tensor | Sequence[Tensor], dim: int) -> Iterator[Tensor]:
    """Student and teachers, classes on dimension 1."""
    _check_logits("student_logits", student, dim)
    yield _classes_second(student, dim)
    teachers = (teachers,) if isinstance(teachers, Tensor) else tuple(teachers)
    check("teacher_logits", teachers, len(teachers) > 0, "the logits of at least one teacher")
    for teacher in teachers:
        _check_logits("teacher_logits", teacher, dim)
        if teacher.shape != student.shape or not teacher.numel():
            allowed = f"of the same shape, not empty, beside logits that are {said(student)}"
            check("teacher_logits", teacher, False, allowed)
        yield _classes_second(teacher.detach(), dim)


def _classes_second(logits: Tensor, dim: int) -> Tensor:
    """At least float32, classes on dimension 1; where they are last, all positions on 0.

    So a position's classes stay neighbours in memory, where moving them would spread them.
    """
    logits, dim = wide(logits), dim % logits.dim()
    if dim == 1:
        return logits
    return logits.flatten(0, -2) if dim == logits.dim() - 1 else logits.movedim(dim, 1)


def _divergence(
    student: Tensor, teachers: Sequence[Tensor], temperature: float, counted: Tensor | None
) -> Tensor:
    """The terms of ``KL(teacher ‖ student)`` at T, classes on dimension 1; 0 where left out."""
    taught = [(teacher.to(student) / temperature).log_softmax(1) for teacher in teachers]
    target = taught[0]
    if len(taught) > 1:
        target = torch.stack(taught).logsumexp(dim=0) - math.log(len(taught))
    share = target.exp()
    if counted is not None:
        share = share.masked_fill(~counted.unsqueeze(1), 0)
    gap = target - (student / temperature).log_softmax(1)
    # Where the teacher gives a class nothing, 0 log 0 is 0, whatever the student gives it.
    if not _may_look(share) or share.amin().item() == 0:
        gap = gap.masked_fill(share == 0, 0)
    return share * gap


def _labels_term(
    student: Tensor, labels: Tensor, counted: Tensor | None, weight: Tensor | None, way: Reduction
) -> Tensor:
    """``CE(student, labels)``, the mean weighted by the classes' weights."""
    weight = None if weight is None else weight.to(student)
    if counted is not None:
        labels = labels.where(counted, -100)  # which torch leaves out
    if way != "mean" or (counted is None and weight is None):
        return functional.cross_entropy(student, labels, weight, reduction=way)
    summed = functional.cross_entropy(student, labels, weight, reduction="sum")
    sizes = labels >= 0 if weight is None else weight[labels.clamp(min=0)] * (labels >= 0)
    return summed / _size((), sizes, student.dtype)


def _size(positions: Sequence[int], sizes: Tensor | None, dtype: torch.dtype) -> Tensor | int:
    """What a mean divides by; 1 where nothing counts, so that it is 0 and not NaN."""
    if sizes is None:
        return math.prod(positions)
    size = sizes.sum(dtype=dtype)
    return size.masked_fill(size == 0, 1)


def _counted(
    labels: Tensor | None, mask: Tensor | None, classes: int, ignore_index: int
) -> Tensor | None:
    """Which positions count, None where all do; labels of those are checked where that is free."""
    if labels is None:
        return mask
    look = _may_look(labels)
    if look:
        low, high = (int(end) for end in labels.aminmax())
        if low >= 0 and high < classes and not low <= ignore_index <= high:
            return mask
    counted = labels != ignore_index if mask is None else mask & (labels != ignore_index)
    if look:
        for end in (int(end) for end in labels.where(counted, 0).aminmax()):
            allowed = f"from 0 to {classes - 1}, or ignore_index, {ignore_index}"
            check("one of labels", end, 0 <= end < classes, allowed)
    return counted


def _may_look(tensor: Tensor) -> bool:
    """Whether a branch on values is free: a GPU would wait, a compiled graph break."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def _check_logits(name: str, logits: Tensor, dim: int) -> None:
    fits = isinstance(logits, Tensor) and logits.is_floating_point() and logits.dim() >= 2
    check(name, logits, fits, "floating point, of two or more dimensions, images × classes")
    if not (-logits.dim() <= dim < logits.dim() and logits.shape[dim] > 0):
        check("dim", dim, False, f"that of the classes, one or more, of {said(logits)}")


def _check_beside(
    name: str, given: Tensor | None, sort: str, shape: list[int], logits: Tensor
) -> None:
    if given is None:
        return
    here = isinstance(given, Tensor) and given.device == logits.device
    if here and list(given.shape) == shape:
        whole = "bool" if given.dtype == torch.bool else "integer"
        if sort == ("floating point" if given.is_floating_point() else whole):
            return
    hint = " (class numbers, not one-hot vectors)" if name == "labels" else ""
    allowed = f"of {sort} type and of shape {tuple(shape)}{hint}"
    check(name, given, False, f"{allowed} beside logits that are {said(logits)}")
