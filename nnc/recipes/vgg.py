"""Networks of the VGG family on CIFAR-10 by labels alone: the teacher and the plain student.

The schedule of Smith and Topin, "Super-convergence" (2018): stochastic gradient descent whose
learning rate rises to one peak and falls linearly to zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nnc.augment import random_crop, random_flip
from nnc.data import split_validation
from nnc.models import VGG
from nnc.recipes.job import Job, digest
from nnc.training import History, fit


@dataclass(frozen=True)
class Settings:
    """Every choice of the training; all networks of a comparison share them."""

    validation: int = 5000  # training images set aside
    epochs: int = 14
    batch_size: int = 128
    learning_rate: float = 0.1  # at the peak
    warm_up: float = 0.15  # share of the steps before the peak
    momentum: float = 0.9  # Nesterov's
    weight_decay: float = 5e-4
    crop: int = 4  # pixels padded by reflection before the crop


def train(name: str, build: Callable[[], VGG], settings: Settings, job: Job) -> tuple[VGG, History]:
    """A network trained on labels; resumes from ``train.checkpoint`` in the job's folder."""
    training, validation = split_validation(job.data.train, settings.validation, seed=0)
    torch.manual_seed(job.seed)
    # Convolutions on processors are faster with the channels innermost.
    model = build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        nesterov=True,
        weight_decay=settings.weight_decay,
    )
    history = fit(
        model,
        training,
        optimiser=optimiser,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            settings.learning_rate,
            total_steps=settings.epochs * (len(training) // settings.batch_size),
            pct_start=settings.warm_up,
            anneal_strategy="linear",
            cycle_momentum=False,
        ),
        validation=validation,
        augment=lambda images, generator: augment(settings, images, generator),
        seed=job.seed,
        checkpoint=job.folder / "train.checkpoint",
        run=f"{name} on {job.data.fingerprint[:12]}, {digest(settings)}",
        progress=job.progress,
    )
    return model, history


def augment(settings: Settings, images: Tensor, generator: torch.Generator) -> Tensor:
    """A crop after padding by reflection, and a mirror image for every second one."""
    return random_flip(random_crop(images, settings.crop, generator), generator)
