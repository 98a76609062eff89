"""Hinton's experiments on MNIST: a student beside its teacher, and digits it never saw.

Teacher of 1200 and 1200 hidden units with dropout, on digits shifted by up to two pixels; students
of 800 and 800 without either, on the digits as they are. Source: Hinton, Vinyals and Dean (2015),
section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnc import storage
from nnc.data import Split, random_shift
from nnc.files import save_arrays
from nnc.models import MLP, count_parameters
from nnc.training import (
    Batch,
    Distillation,
    History,
    cross_entropy,
    fit,
    predict,
)
from nnc.training.streams import stream
from nnc_book.controls import best_shift, shuffle_wrong_classes
from nnc_book.recipes.job import Job, Outcome, Recipe, digest
from nnc_book.recipes.schedules import one_cycle
from nnc_book.recipes.scoring import answers, share, store

Loss = Callable[[Tensor, Batch], Tensor]
_WEIGHT_DECAY = 0.01  # AdamW's own, of all networks alike


@dataclass(frozen=True)
class Settings:
    """Every choice. Learning rates are AdamW's at the peak of one cycle."""

    validation: int = 5000  # training images set aside
    batch_size: int = 128
    learning_rate: float = 2e-3
    teacher_epochs: int = 20
    teacher_shift: int = 2  # pixels
    teacher_dropout: float = 0.2  # of hidden units; more wants more epochs
    student_epochs: int = 12
    temperature: float = 20.0
    alpha: float = 0.9
    smoothing: float = 0.1  # of the control that smooths labels
    kept: str = "0123456789"  # digits in the transfer set


def teacher_of(settings: Settings, job: Job) -> tuple[MLP, History, Job]:
    """The one teacher of all students, trained where it is not there yet, with its job."""
    training, validation = job.split(settings.validation)
    job = job.of("mnist-kd", 0)
    torch.manual_seed(job.seed)
    model = MLP(1200, 1200, dropout=settings.teacher_dropout)
    history = _fit(
        "teacher",
        model,
        settings,
        job,
        training,
        validation,
        settings.teacher_epochs,
        ("teacher", "validation", "batch", "learning"),
        augment=lambda images, generator: random_shift(images, settings.teacher_shift, generator),
    )
    return model, history, job


def run(settings: Settings, job: Job) -> Outcome:
    """The teacher, and four students: labels, teacher, smoothed labels, shuffled teacher."""
    training, validation = job.split(settings.validation)
    teacher, teacher_history, teacher_job = teacher_of(settings, job)
    said = answers(teacher, training, teacher_job, "training")
    shuffled = shuffle_wrong_classes(said, training.labels, stream(job.seed, 1))

    def smoothed(logits: Tensor, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(logits, batch.labels, label_smoothing=settings.smoothing)

    losses: dict[str, Loss] = {
        "plain": cross_entropy,
        "smoothed": smoothed,
        "shuffled": _distillation(settings, shuffled),
        "distilled": _distillation(settings, said),
    }
    kind, scored = job.scored(validation)
    spoken = predict(teacher, scored)
    history = {"teacher": teacher_history} if job.seed == 0 else {}
    metrics = {"teacher_accuracy": share(spoken.argmax(dim=1) == scored.labels)}
    for name, loss in losses.items():
        student, history[name] = _student(name, loss, settings, job, training, validation)
        network = store(student, job.folder)  # each over the last: the taught student's stays
        logits = predict(storage.load(network).load_into(student), scored)
        metrics[f"{name}_accuracy"] = share(logits.argmax(dim=1) == scored.labels)
        metrics[f"{name}_agreement"] = share(logits.argmax(1) == spoken.argmax(1))
    metrics[f"{kind}_accuracy"] = metrics.pop("distilled_accuracy")
    metrics["parameters"] = count_parameters(student)
    metrics["teacher_parameters"] = count_parameters(teacher)
    metrics["file_bytes"] = network.stat().st_size
    everything = answers(teacher, job.data.train, teacher_job, "all").half().numpy()
    kept = save_arrays(job.folder / "training_answers.npz", logits=everything)
    sizes = job.sizes(training, validation)
    return Outcome(metrics, history, sizes, network, (kept,), stored=job.seed == 0)


def run_without(settings: Settings, job: Job) -> Outcome:
    """A student of the teacher alone, on a transfer set that lacks some digits.

    It is scored as it is, and with one number added to the logits of either all missing digits or
    all present ones, whichever are fewer; the number is chosen on validation images.
    """
    training, validation = job.split(settings.validation)
    teacher, _, teacher_job = teacher_of(settings, job)
    said = answers(teacher, training, teacher_job, "training")
    kept = torch.tensor([int(digit) for digit in settings.kept])
    present = torch.isin(training.labels, kept)
    student, history = _student(
        "distilled",
        _distillation(settings, said[present]),
        settings,
        job,
        training.take(present),
        validation,
    )
    network = store(student, job.folder)
    student = storage.load(network).load_into(student)
    missing = torch.tensor([digit for digit in range(10) if str(digit) not in settings.kept])
    moved = missing if len(missing) < len(kept) else kept
    shift = best_shift(predict(student, validation), validation.labels, moved)
    kind, scored = job.scored(validation)
    before, after = predict(student, scored), predict(student, scored)
    after[:, moved] += shift
    metrics = {
        f"{kind}_accuracy": share(after.argmax(dim=1) == scored.labels),
        "uncorrected_accuracy": share(before.argmax(dim=1) == scored.labels),
        "shift": shift,
        "teacher_accuracy": share(predict(teacher, scored).argmax(dim=1) == scored.labels),
        "parameters": count_parameters(student),
        **_errors_on(missing, scored, before=before, after=after),
    }
    sizes = job.sizes(training.take(present), validation)
    return Outcome(metrics, {"distilled": history}, sizes, network, stored=False)


def _student(
    name: str, loss: Loss, settings: Settings, job: Job, training: Split, validation: Split
) -> tuple[nn.Module, History]:
    torch.manual_seed(job.seed)
    model = MLP(800, 800)
    history = _fit(
        name, model, settings, job, training, validation, settings.student_epochs, ("",), loss=loss
    )
    return model, history


def _fit(
    name: str,
    model: nn.Module,
    settings: Settings,
    job: Job,
    training: Split,
    validation: Split,
    epochs: int,
    depends_on: tuple[str, ...],
    **arguments: Any,
) -> History:
    steps = epochs * (len(training) // settings.batch_size)
    optimiser, scheduler = one_cycle(model, settings.learning_rate, _WEIGHT_DECAY, steps)
    return fit(
        model,
        training,
        optimiser=optimiser,
        scheduler=scheduler,
        epochs=epochs,
        batch_size=settings.batch_size,
        validation=validation,
        seed=job.seed,
        checkpoint=job.folder / f"{name}.checkpoint",
        run=f"mnist-kd {name} on {job.data.fingerprint[:12]}, {digest(settings, depends_on)}",
        progress=job.progress,
        **arguments,
    )


def _distillation(settings: Settings, said: Tensor) -> Distillation:
    return Distillation(said, temperature=settings.temperature, alpha=settings.alpha)


def _errors_on(missing: Tensor, split: Split, **logits: Tensor) -> dict[str, float]:
    """Errors on the digits that were missing, before and after the correction, and their number."""
    chosen = torch.isin(split.labels, missing)
    wrong = {
        f"missing_errors_{name}": float((values.argmax(1) != split.labels)[chosen].sum())
        for name, values in logits.items()
    }
    return {"missing_images": float(chosen.sum()), **wrong}


def _recipe(name: str, summary: str, run: Callable[[Any, Job], Outcome], **chosen: Any) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        dataset="mnist",
        model=lambda: MLP(800, 800),
        settings=Settings(**chosen),
        run=run,
    )


RECIPES = (
    _recipe("mnist-kd", "800-800 taught by 1200-1200, and two controls", run),
    _recipe(
        "mnist-kd-without-3", "the same on a transfer set without any 3", run_without,
        kept="012456789", alpha=1.0,
    ),
    _recipe(
        "mnist-kd-7-and-8", "the same on a transfer set of 7s and 8s alone", run_without,
        kept="78", alpha=1.0,
    ),
)  # fmt: skip
