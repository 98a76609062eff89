"""Networks of the VGG family on CIFAR-10: the teacher, and what teacher and students share.

The schedule of Smith and Topin, "Super-convergence" (2018): stochastic gradient descent whose
learning rate rises to one peak and falls linearly to zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from nnc.data import Split, random_crop, random_flip
from nnc.files import atomic_write, save_arrays
from nnc.models import VGG, vgg13
from nnc.training import History, fit
from nnc_book.recipes.job import Job, Outcome, Recipe, digest
from nnc_book.recipes.scoring import answers, describe, score

_WRONG = 4  # thumbnails of images that the teacher gets wrong, beside two of each class


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


def run(settings: Settings, job: Job) -> Outcome:
    """Train the teacher; the record keeps its SHA-256 and what it says of the test images."""
    training, validation = job.split(settings.validation)
    model, history = train(settings, job)
    network = job.folder / "network.safetensors"
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    atomic_write(network, safetensors.torch.save(state))
    kind, scored = job.scored(validation)
    logits = answers(model, scored, job, kind)
    return Outcome(
        score(logits, scored.labels, kind, job.data.classes) | describe(model),
        {"train": history},
        job.sizes(training, validation),
        network,
        () if job.searching else (_keep_answers(logits, job),),
        stored=False,
    )


def train(settings: Settings, job: Job) -> tuple[VGG, History]:
    """The teacher, trained on labels; resumes from ``train.checkpoint`` in the job's folder."""
    training, validation = job.split(settings.validation)

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        return random_flip(random_crop(images, settings.crop, generator), generator)

    return fit_vgg("vgg13", vgg13, settings, job, training, validation=validation, augment=augment)


def fit_vgg(
    name: str,
    build: Callable[[], VGG],
    settings: Settings,
    job: Job,
    training: Split,
    **arguments: Any,
) -> tuple[VGG, History]:
    """A network by the schedule that teacher and students share."""
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
        seed=job.seed,
        checkpoint=job.folder / "train.checkpoint",
        run=f"{name} on {job.data.fingerprint[:12]}, {digest(settings)}",
        progress=job.progress,
        **arguments,
    )
    return model, history


def _keep_answers(logits: Tensor, job: Job) -> Path:
    """Logits and labels of the test images, and a few of the images, for the book's figures."""
    labels = job.data.test.labels
    chosen = instructive(logits, labels)
    return save_arrays(
        job.folder / "answers.npz",
        logits=logits.half().numpy(),
        labels=labels.numpy().astype(np.uint8),
        chosen=chosen.numpy(),
        thumbnails=job.data.test.images[chosen].numpy(),
    )


def instructive(logits: Tensor, labels: Tensor) -> Tensor:
    """Positions of 24 images to show, told by rule and not by taste.

    Of each class the first image that is recognised, and the recognised one whose prediction has
    the largest entropy; then the four wrong answers of which the teacher is surest.
    """
    log_probabilities = logits.log_softmax(dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    right = logits.argmax(dim=1) == labels
    of_class = [torch.nonzero(right & (labels == label)).flatten() for label in range(10)]
    first = torch.stack([members[0] for members in of_class])
    doubtful = torch.stack([members[entropy[members].argmax()] for members in of_class])
    wrong = torch.nonzero(~right).flatten()
    surest = log_probabilities[wrong].amax(dim=1).argsort(descending=True)
    return torch.cat([first, doubtful, wrong[surest[:_WRONG]]])


RECIPE = Recipe(
    name="vgg13",
    summary="the teacher: VGG-13 on labels, one run",
    dataset="cifar10-jpeg",
    model=vgg13,
    settings=Settings(),
    run=run,
)
