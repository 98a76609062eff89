"""MiniVGG on CIFAR-10: by labels, by labels and the teacher, by the teacher alone.

All students see the same schedule of augmented views, have the same optimiser and number of
steps, and differ in the loss alone; seeds vary initial weights and order. Source of the method:
Hinton, Vinyals and Dean (2015).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from nnc import storage
from nnc.data import split_validation
from nnc.files import save_arrays
from nnc.models import mini_vgg
from nnc.training import Distillation, History, Views, cross_entropy, predict, teacher_logits
from nnc_book.recipes import vgg
from nnc_book.recipes.job import Job, Outcome, Recipe
from nnc_book.recipes.scoring import answers, describe, score, store
from nnc_book.recipes.task import Task

_TRIAL_EPOCHS = 2  # of a search: a rough ranking, and all that two processors can afford


@dataclass(frozen=True)
class Settings(vgg.Settings):
    """Every choice of a student's training, besides the teacher's own."""

    epochs: int = 7
    weight_decay: float = 1e-3  # with the peak's learning rate, the best of the baseline's trials
    views: int = 5  # epoch e sees view e mod 5
    share: float = 1.0  # of the training images, every class in proportion
    temperature: float = 8.0  # the best of the trials
    alpha: float = 0.0  # weight of the teacher: 0 is the baseline, 1 reads no label


def run(settings: Settings, job: Job) -> Outcome:
    """Train a student; where there is no teacher yet, it is trained first."""
    task = task_of(settings, job)
    model, history = train(settings, job, task)
    outcome = finish(model, history, task, *teacher_of(settings.validation, job), job)
    # No chapter asks the student of the teacher alone anything more: its SHA-256 will do.
    return outcome if settings.alpha < 1 else replace(outcome, stored=False)


def task_of(settings: Settings, job: Job) -> Task:
    """What a student learns, and on which views."""
    training, validation = job.split(settings.validation)
    if settings.share < 1:
        _, training = split_validation(training, round(settings.share * len(training)), seed=1)
    views = Views(training, settings.views, crop=settings.crop, flip=True)
    if not settings.alpha:
        return Task(mini_vgg, training, validation, cross_entropy, views)
    teacher, teacher_job = teacher_of(settings.validation, job)
    folder = teacher_job.folder / f"views-{len(training)}"
    said = teacher_logits(teacher, views, folder, job.progress)
    loss = Distillation(said, temperature=settings.temperature, alpha=settings.alpha)
    return Task(mini_vgg, training, validation, loss, views)


def train(settings: Settings, job: Job, task: Task) -> tuple[nn.Module, History]:
    """A student, trained in its job's folder."""
    return vgg.fit_vgg(
        "mini_vgg", mini_vgg, settings, job, task.training, loss=task.loss, views=task.views,
        validation=task.validation,
    )  # fmt: skip


def teacher_of(validation: int, job: Job) -> tuple[nn.Module, Job]:
    """The one teacher of all students, and the job that trained it or now does."""
    teacher_job = job.of("vgg13", 0)
    return vgg.train(vgg.Settings(validation=validation), teacher_job)[0], teacher_job


def finish(
    model: nn.Module,
    history: History,
    task: Task,
    teacher: nn.Module,
    teacher_job: Job,
    job: Job,
) -> Outcome:
    """Store a student, read it back and score it: on the test set, unless this is a search."""
    network = store(model, job.folder)
    kind, scored = job.scored(task.validation)
    logits = predict(storage.load(network).load_into(mini_vgg()), scored)
    said = answers(teacher, scored, teacher_job, kind)
    return Outcome(
        score(logits, scored.labels, kind, job.data.classes, said)
        | describe(model)
        | {"file_bytes": network.stat().st_size},
        {"train": history},
        job.sizes(task.training, task.validation),
        network,
        (save_arrays(job.folder / "answers.npz", logits=logits.half().numpy()),),
        stored=job.seed == 0,
    )


def suggest_baseline(trial: Any) -> Settings:
    """The space of the baseline: its optimiser."""
    return Settings(
        epochs=_TRIAL_EPOCHS,
        learning_rate=trial.suggest_categorical("learning_rate", (0.05, 0.1, 0.2, 0.4)),
        weight_decay=trial.suggest_categorical("weight_decay", (1e-4, 5e-4, 1e-3)),
    )


def suggest_distilled(trial: Any) -> Settings:
    """The space of the distilled student: temperature and alpha, with the baseline's optimiser."""
    return Settings(
        epochs=_TRIAL_EPOCHS,
        temperature=trial.suggest_categorical("temperature", (1.0, 2.0, 4.0, 8.0, 16.0)),
        alpha=trial.suggest_categorical("alpha", (0.5, 0.9)),
    )


# As many trials for one as for the other.
_BASELINE_TRIALS = (
    *({"learning_rate": rate, "weight_decay": 5e-4} for rate in (0.05, 0.1, 0.2, 0.4)),
    *({"learning_rate": 0.1, "weight_decay": decay} for decay in (1e-4, 1e-3)),
)
_DISTILLED_TRIALS = (
    *({"temperature": temperature, "alpha": 0.9} for temperature in (1.0, 2.0, 4.0, 8.0, 16.0)),
    {"temperature": 4.0, "alpha": 0.5},
)


def _recipe(name: str, summary: str, search: dict[str, Any] | None = None, **chosen: Any) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        dataset="cifar10-jpeg",
        model=mini_vgg,
        settings=Settings(**chosen),
        run=run,
        **(search or {}),
    )


RECIPES = (
    _recipe(
        "mini-vgg",
        "MiniVGG on labels: the baseline",
        {"suggest": suggest_baseline, "first": _BASELINE_TRIALS},
    ),
    _recipe(
        "mini-vgg-kd",
        "MiniVGG on labels and on the teacher",
        {"suggest": suggest_distilled, "first": _DISTILLED_TRIALS},
        alpha=0.9,
    ),
    _recipe("mini-vgg-kd-unlabelled", "MiniVGG on the teacher alone", alpha=1.0),
    _recipe("mini-vgg-tenth", "MiniVGG on a tenth of the images", share=0.1, epochs=30),
    _recipe(
        "mini-vgg-kd-tenth", "the same, distilled on that tenth", share=0.1, epochs=30, alpha=0.9
    ),
)


def settings_of(name: str) -> Settings:
    """The settings that a student of this name was recorded with."""
    return next(recipe.settings for recipe in RECIPES if recipe.name == name)
