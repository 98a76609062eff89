"""MiniVGG by the recipe of the repository that this book follows, beside the book's own.

Adam at 0.01, no augmentation, one order of images, the learning rate divided by ten after three
and again after six eighths of the run; distilled at T = 15 without the factor T². Taught by the
book's teacher, and in fewer epochs than the repository's 80. Source: okz12,
"NeuralNetworkCompression".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnc.losses import soft_targets
from nnc.models import mini_vgg
from nnc.training import Batch, cross_entropy, fit
from nnc_book.recipes.job import Job, Outcome, Recipe, digest
from nnc_book.recipes.scoring import answers
from nnc_book.recipes.students import finish, teacher_of
from nnc_book.recipes.task import Task


@dataclass(frozen=True)
class Settings:
    """Every choice; those that the repository made are as it made them, but for ``epochs``."""

    validation: int = 5000  # training images set aside; the repository has none
    epochs: int = 6
    batch_size: int = 128
    learning_rate: float = 0.01
    temperature: float = 15.0
    alpha: float = 0.0  # weight of the teacher; 0 is the baseline


def loss_of(settings: Settings, said: Tensor) -> Callable[[Tensor, Batch], Tensor]:
    """The repository's loss: cross-entropy against soft targets, and no factor T²."""

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        targets = soft_targets(said[batch.indices].to(logits), settings.temperature)
        soft = nn.functional.cross_entropy(logits / settings.temperature, targets)
        return (1 - settings.alpha) * cross_entropy(logits, batch) + settings.alpha * soft

    return loss


def run(settings: Settings, job: Job) -> Outcome:
    """Train one student the repository's way."""
    training, validation = job.split(settings.validation)
    teacher, teacher_job = teacher_of(settings.validation, job)
    said = answers(teacher, training, teacher_job, f"plain-{len(training)}")
    torch.manual_seed(job.seed)
    model = mini_vgg().to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    steps = settings.epochs * (len(training) // settings.batch_size)
    history = fit(
        model,
        training,
        loss_of(settings, said),
        optimiser=optimiser,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        shuffle=False,
        # After 30 and 60 of the repository's 80 epochs.
        scheduler=torch.optim.lr_scheduler.MultiStepLR(
            optimiser, [3 * steps // 8, 6 * steps // 8], gamma=0.1
        ),
        validation=validation,
        seed=job.seed,
        checkpoint=job.folder / "train.checkpoint",
        run=f"original recipe on {job.data.fingerprint[:12]}, {digest(settings)}",
        progress=job.progress,
    )
    task = Task(mini_vgg, training, validation)
    return finish(model, history, task, teacher, teacher_job, job)


RECIPES = tuple(
    Recipe(
        name=name,
        summary=summary,
        dataset="cifar10-jpeg",
        model=mini_vgg,
        settings=Settings(alpha=alpha),
        run=run,
    )
    for name, summary, alpha in (
        ("mini-vgg-original-recipe", "MiniVGG by the original repository's recipe", 0.0),
        ("mini-vgg-kd-original-recipe", "the same, distilled its way", 0.8),
    )
)
