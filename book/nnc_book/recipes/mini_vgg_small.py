"""MiniVGG made small: soft weight-sharing of the plain and of the distilled student.

The students are those of :mod:`nnc_book.recipes.students`, and what they learn while they are made
small is what they learnt before: labels, or labels and the teacher, on the same views. A search
compares three weights of the prior with LeNet's mixture; the recorded settings came after it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from nnc.models import mini_vgg
from nnc.pruning import rescale
from nnc_book.recipes import students
from nnc_book.recipes.job import Job, Outcome, Recipe
from nnc_book.recipes.magnitude import Magnitude, prune_gradually
from nnc_book.recipes.small import Clustering, finish, share

_TRIAL_SEED = 0  # of the student that a search starts from: seeds of searches have none


@dataclass(frozen=True)
class SharedVGG(Clustering):
    """Choices of soft weight-sharing, where they differ from LeNet's."""

    deviation: float = 0.05  # of every layer's weights at the start, as batch norm allows
    cluster_epochs: int = 4
    tau: float = 0.12
    pi_0: float = 0.99  # nearer to the sparsity that is wanted: there are few steps to find it
    mean_range: float = 0.25
    sigma: float = 0.05
    mean_learning_rate: float = 3e-4
    mixture_learning_rate: float = 1e-2  # as many steps as an eighth of LeNet's
    frozen_epochs: int = 3
    rest_levels: int = 64


@dataclass(frozen=True)
class PrunedVGG(Magnitude):
    """Choices of magnitude pruning, where they differ from LeNet's.

    Weights keep their sizes: wide layers have the smaller ones and lose more of them.
    """

    prune_epochs: int = 4
    target_sparsity: float = 0.92
    frozen_epochs: int = 3
    rest_levels: int = 64


def run(settings: Any, job: Job, student: str) -> Outcome:
    """A recorded student, trained first where it is not there yet, made small."""
    taught = students.settings_of(student)
    start = job.of(student, _TRIAL_SEED if job.searching else job.seed)
    task = students.task_of(taught, start)
    model, _ = students.train(taught, start, task)
    dense = copy.deepcopy(model)
    if isinstance(settings, SharedVGG):
        # One mixture for all layers asks for one width; magnitudes are compared as they are.
        model = rescale(model, settings.deviation)
        assigned, history = share(settings, job, task, model)
    else:
        assigned, history = prune_gradually(settings, job, task, model)
    return finish(settings, job, task, dense, assigned, history)


def suggest_tau(trial: Any) -> SharedVGG:
    """Three weights of the prior, with LeNet's mixture carried over as it is."""
    return SharedVGG(
        tau=trial.suggest_categorical("tau", _TAUS),
        cluster_epochs=5,
        frozen_epochs=2,
        pi_0=Clustering.pi_0,
        sigma=Clustering.sigma,
        mean_range=Clustering.mean_range,
    )


def suggest_sparsity(trial: Any) -> PrunedVGG:
    """As many sparsities for the baseline."""
    return PrunedVGG(target_sparsity=trial.suggest_categorical("target_sparsity", _SPARSITIES))


_TAUS = (0.01, 0.03, 0.09)
_SPARSITIES = (0.88, 0.92, 0.95)


def _recipe(
    name: str, summary: str, student: str, settings: Any, suggest: Any, first: Any
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        dataset="cifar10-jpeg",
        model=mini_vgg,
        settings=settings,
        run=partial(run, student=student),
        suggest=suggest,
        first=first,
    )


_TAU_TRIALS = tuple({"tau": tau} for tau in (0.03, 0.09, 0.01))
RECIPES = (
    _recipe(
        "mini-vgg-sws",
        "soft weight-sharing of MiniVGG on labels",
        "mini-vgg",
        SharedVGG(tau=0.05),  # cross-entropy pulls less hard than a teacher at T = 8
        suggest_tau,
        _TAU_TRIALS,
    ),
    _recipe(
        "mini-vgg-kd-sws",
        "distil, then share: soft weight-sharing of the distilled MiniVGG",
        "mini-vgg-kd",
        SharedVGG(),
        suggest_tau,
        _TAU_TRIALS,
    ),
    _recipe(
        "mini-vgg-magnitude",
        "magnitude pruning of MiniVGG on labels",
        "mini-vgg",
        PrunedVGG(),
        suggest_sparsity,
        tuple({"target_sparsity": sparsity} for sparsity in _SPARSITIES),
    ),
)
