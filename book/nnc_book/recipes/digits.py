"""LeNets on MNIST made small: by soft weight-sharing and by magnitude pruning, taught and not.

Recipes named ``-kd-`` see digits shifted by up to two pixels, and a small convolutional network's
soft targets are their error term, in every stage. The others see the digits as they are, and no
teacher, as the published figures do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from nnc.data import random_shift
from nnc.models import LeNet5Caffe, LeNet300100
from nnc.pruning import quantise_kmeans
from nnc.training import Distillation, History, Views, evaluate, fit, teacher_logits
from nnc_book.recipes import spaces
from nnc_book.recipes.film import Film
from nnc_book.recipes.job import Job, Outcome, Recipe, digest, mark
from nnc_book.recipes.magnitude import Magnitude, prune_gradually
from nnc_book.recipes.schedules import one_cycle
from nnc_book.recipes.scoring import describe, store
from nnc_book.recipes.small import (
    Clustering,
    Histories,
    Settings,
    Settling,
    finish,
    share,
    store_and_score,
    train_frozen,
)
from nnc_book.recipes.task import Task

Build = Callable[[], nn.Module]


@dataclass(frozen=True)
class Dense:
    """Choices of step 1. The learning rate is AdamW's at the peak of one cycle."""

    dense_epochs: int = 30
    dense_learning_rate: float = 2e-3
    dense_weight_decay: float = 0.1  # decoupled


@dataclass(frozen=True)
class Teaching:
    """Choices of a teacher: LeNet-5, trained on shifted digits."""

    crop: int = 2  # pixels padded by reflection before a random crop
    views: int = 10  # epoch e sees view e mod 10
    temperature: float = 4.0
    alpha: float = 0.9


@dataclass(frozen=True)
class Shared(Dense, Clustering):
    """Soft weight-sharing on labels."""


@dataclass(frozen=True)
class Settled(Shared, Settling):
    """The same, with a stage in which the weights that are left settle."""


@dataclass(frozen=True)
class SharedTaught(Teaching, Shared):
    """Soft weight-sharing under a teacher."""


@dataclass(frozen=True)
class SettledTaught(SharedTaught, Settling):
    """The same, with a stage in which the weights that are left settle."""


@dataclass(frozen=True)
class Pruned(Dense, Magnitude):
    """Magnitude pruning on labels."""


@dataclass(frozen=True)
class PrunedTaught(Teaching, Pruned):
    """Magnitude pruning under a teacher."""


@dataclass(frozen=True)
class Coarse(Dense, Settings):
    """Quantisation alone: k-means codebooks for a dense network."""

    bits: tuple[int, ...] = (8, 4, 3, 2)


@dataclass(frozen=True)
class Teacher:
    """Choices of the teacher's own training. The learning rate is AdamW's at the peak."""

    validation: int = 5000
    batch_size: int = 128
    epochs: int = 12
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    shift: int = 2


TEACHER = "lenet5-shifted"
_TEACHING = ("crop", "views", "temperature", "alpha")


def lenet5() -> LeNet5Caffe:
    """LeNet-5 with the channels innermost, as convolutions on processors like it."""
    return LeNet5Caffe().to(memory_format=torch.channels_last)


def teach(settings: Teacher, job: Job) -> tuple[nn.Module, History]:
    """The teacher, trained where it is not there yet."""
    training, validation = job.split(settings.validation)
    torch.manual_seed(job.seed)
    model = lenet5()
    optimiser, scheduler = one_cycle(
        model,
        settings.learning_rate,
        settings.weight_decay,
        settings.epochs * (len(training) // settings.batch_size),
    )
    history = fit(
        model,
        training,
        optimiser=optimiser,
        scheduler=scheduler,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        augment=lambda images, generator: random_shift(images, settings.shift, generator),
        validation=validation,
        seed=job.seed,
        checkpoint=job.folder / "train.checkpoint",
        run=f"{TEACHER} on {job.data.fingerprint[:12]}, {digest(settings)}",
        progress=job.progress,
    )
    return model, history


def run_teacher(settings: Teacher, job: Job) -> Outcome:
    """Train and score the teacher; the record keeps its SHA-256 alone."""
    training, validation = job.split(settings.validation)
    model, history = teach(settings, job)
    network = store(model, job.folder)
    kind, scored = job.scored(validation)
    metrics = {f"{kind}_accuracy": evaluate(model, scored), **describe(model)}
    sizes = job.sizes(training, validation)
    return Outcome(metrics, {"train": history}, sizes, network, stored=False)


def task_of(settings: Any, job: Job, build: Build) -> Task:
    """What the network learns: labels, or a teacher's soft targets on shifted digits too."""
    count = settings.validation
    training, validation = job.split(count)
    if not isinstance(settings, Teaching):
        return Task(build, training, validation)
    teacher_job = job.of(TEACHER, 0)
    teacher, _ = teach(Teacher(validation=count), teacher_job)
    views = Views(training, settings.views, crop=settings.crop)
    said = teacher_logits(teacher, views, teacher_job.folder / "views", job.progress)
    loss = Distillation(said, temperature=settings.temperature, alpha=settings.alpha)
    return Task(build, training, validation, loss, views)


def trained(settings: Any, job: Job, task: Task) -> tuple[nn.Module, Histories]:
    """Step 1, once for all recipes that share its settings, data and seed."""
    on = ("dense", "batch", "validation", *_TEACHING)
    build = task.build.__name__
    job = job.of(f"dense-{build}-{mark(settings, on)}", job.seed)
    torch.manual_seed(job.seed)
    model = task.build()
    optimiser, scheduler = one_cycle(
        model,
        settings.dense_learning_rate,
        settings.dense_weight_decay,
        task.steps(settings.dense_epochs, settings.batch_size),
    )
    history = fit(
        model,
        task.training,
        task.loss,
        optimiser=optimiser,
        scheduler=scheduler,
        epochs=settings.dense_epochs,
        batch_size=settings.batch_size,
        validation=task.validation,
        views=task.views,
        seed=job.seed,
        checkpoint=job.folder / "dense.checkpoint",
        run=f"{build} dense on {job.data.fingerprint[:12]}, {digest(settings, on)}",
        progress=job.progress,
    )
    return model, {"dense": history}


def run(settings: Any, job: Job, build: Build, filmed: bool = False) -> Outcome:
    """Train, make small, store, read back and score."""
    task = task_of(settings, job, build)
    model, history = trained(settings, job, task)
    dense = copy.deepcopy(model)
    film = Film(job.folder / "frames") if filmed else None
    if isinstance(settings, Magnitude):
        assigned, shrinking = prune_gradually(settings, job, task, model)
    else:
        assigned, shrinking = share(settings, job, task, model, film)
    return finish(settings, job, task, dense, assigned, history | shrinking, film)


def run_quantised(settings: Coarse, job: Job) -> Outcome:
    """No pruning: k-means at several widths, each trained on with the assignment frozen.

    The network kept is that of the first width, of seed 0 alone; figures of each width carry it,
    ``test_accuracy_4``.
    """
    task = task_of(settings, job, LeNet300100)
    model, history = trained(settings, job, task)
    _, scored = job.scored(task.validation)
    metrics: dict[str, float] = {"dense_accuracy": evaluate(model, scored)}
    for bits in settings.bits:
        coarse = quantise_kmeans(model.state_dict(), 2**bits)
        name = f"frozen-{bits}"
        values, history[f"frozen_{bits}"] = train_frozen(settings, job, task, coarse, name)
        path = job.folder / f"network-{bits}.sws"
        found = store_and_score(settings, job, task, values, path)
        metrics = found | metrics | {f"{key}_{bits}": value for key, value in found.items()}
    first = job.folder / f"network-{settings.bits[0]}.sws"
    sizes = job.sizes(task.training, task.validation)
    return Outcome(metrics, history, sizes, first, stored=job.seed == 0)


def _recipe(
    name: str,
    summary: str,
    build: Build,
    settings: Any,
    suggest: Callable[[Any], Any] | None = None,
    first: tuple[dict[str, Any], ...] = (),
    filmed: bool = False,
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        dataset="mnist",
        model=build,
        settings=settings,
        run=partial(run, build=build, filmed=filmed),
        suggest=suggest,
        score=spaces.front_score,
        first=first,
    )


# Which weights stay is decided while the zero component becomes narrow: let it take its time.
_SLOW = 1e-3
RECIPES = (
    Recipe(
        name=TEACHER,
        summary="the teacher of the LeNets: LeNet-5 on shifted digits, one run",
        dataset="mnist",
        model=LeNet5Caffe,
        settings=Teacher(),
        run=run_teacher,
    ),
    _recipe(
        "lenet300-sws",
        "soft weight-sharing of LeNet-300-100, plain images, no teacher",
        LeNet300100,
        Shared(),
        lambda trial: spaces.shared(trial, Shared),
        filmed=True,
    ),
    _recipe(
        "lenet300-sws-8k",
        "the same with a weaker prior: accuracy first",
        LeNet300100,
        Shared(tau=0.03, cluster_epochs=30, frozen_epochs=15),
        lambda trial: spaces.shared(trial, Shared, **spaces.SHORT),
        spaces.FIRST_SHARED,
    ),
    _recipe(
        "lenet300-kd-sws",
        "soft weight-sharing of LeNet-300-100 under a teacher",
        LeNet300100,
        SettledTaught(
            tau=0.2,
            mixture_learning_rate=_SLOW,
            cluster_epochs=30,
            settle_epochs=2,
            frozen_epochs=18,
            rest_levels=24,
        ),
        lambda trial: spaces.shared(trial, SharedTaught, **spaces.SHORT),
        spaces.FIRST_TAUGHT,
    ),
    _recipe(
        "lenet300-kd-sws-8k",
        "the same with a faster mixture: accuracy first",
        LeNet300100,
        SharedTaught(tau=0.3, cluster_epochs=30, frozen_epochs=20),
    ),
    _recipe(
        "lenet300-magnitude",
        "magnitude pruning and k-means of LeNet-300-100",
        LeNet300100,
        Pruned(prune_epochs=30, frozen_epochs=15, target_sparsity=0.975),
        lambda trial: spaces.pruned(trial, Pruned, **spaces.SHORT_PRUNED),
        spaces.FIRST_PRUNED,
    ),
    _recipe(
        "lenet300-kd-magnitude",
        "the same under the teacher",
        LeNet300100,
        PrunedTaught(prune_epochs=30, frozen_epochs=20, target_sparsity=0.975),
        lambda trial: spaces.pruned(trial, PrunedTaught, **spaces.SHORT_PRUNED),
        spaces.FIRST_PRUNED,
    ),
    _recipe(
        "lenet5-sws",
        "soft weight-sharing of LeNet-5, plain images, no teacher",
        lenet5,
        Settled(
            dense_epochs=8,
            cluster_epochs=16,
            frozen_epochs=3,
            tau=0.04,
            mixture_learning_rate=1.5 * _SLOW,
            rest_levels=24,
            levels=12,
        ),
    ),
    _recipe(
        "lenet5-kd-sws",
        "soft weight-sharing of LeNet-5 under a teacher",
        lenet5,
        SettledTaught(
            dense_epochs=8,
            cluster_epochs=20,
            frozen_epochs=3,
            tau=0.22,
            mixture_learning_rate=1.5 * _SLOW,
            rest_levels=24,
        ),
    ),
    _recipe(
        "lenet5-magnitude",
        "magnitude pruning and k-means of LeNet-5",
        lenet5,
        Pruned(dense_epochs=8, prune_epochs=16, frozen_epochs=8, target_sparsity=0.99, levels=8),
    ),
    Recipe(
        name="lenet300-quantised",
        summary="no pruning: k-means codebooks of 8, 4, 3 and 2 bits",
        dataset="mnist",
        model=LeNet300100,
        settings=Coarse(frozen_epochs=12),
        run=run_quantised,
    ),
)
