"""The loss of a student whose teacher was asked beforehand, once for all students."""

from __future__ import annotations

from torch import Tensor

from nnc.hints import check
from nnc.losses import distillation_loss
from nnc.training.loop import Batch


class Distillation:
    """The loss of a student, as :func:`nnc.fit` wants it, with a teacher's logits looked up.

    Each image's logits are found by the batch's epoch and indices, so that teacher and student
    speak of the same view. With ``alpha = 1`` labels are never read.

    Args:
        teacher_logits: floating point, V × N × C for V views, or N × C where all epochs see the
            same images; N in the order of the training split. Another shape is a ValueError.
        temperature, alpha: as in :func:`nnc.distillation_loss`.
    """

    def __init__(self, teacher_logits: Tensor, *, temperature: float, alpha: float) -> None:
        fits = teacher_logits.dim() in (2, 3) and 0 not in teacher_logits.shape
        allowed = "views × images × classes or images × classes, none of them 0"
        check("teacher_logits", teacher_logits, fits, allowed)
        self._logits = teacher_logits if teacher_logits.dim() == 3 else teacher_logits[None]
        self._temperature, self._alpha = temperature, alpha

    def teacher(self, batch: Batch) -> Tensor:
        """The teacher's logits for a batch, float32, images × classes."""
        return self._logits[batch.epoch % len(self._logits), batch.indices].float()

    def __call__(self, logits: Tensor, batch: Batch) -> Tensor:
        """The loss of a batch, a scalar in nats."""
        labels = None if self._alpha == 1 else batch.labels
        teacher, temperature = self.teacher(batch).to(logits), self._temperature
        return distillation_loss(
            logits, teacher, labels, temperature=temperature, alpha=self._alpha
        )
