"""Hinton's experiments on MNIST: a student beside its teacher, and digits it never saw.

Teacher of 1200 and 1200 hidden units with dropout, on digits shifted by up to two pixels; students
of 800 and 800 without either, on the digits as they are. Source: Hinton, Vinyals and Dean (2015),
section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nnc import storage
from nnc.data import Split
from nnc.models import count_parameters
from nnc.training import Batch, Distillation, History, cross_entropy, evaluate, predict
from nnc.training.loop import stream
from nnc_book.arrays import save_arrays
from nnc_book.augment import random_shift
from nnc_book.controls import best_shift, shuffle_wrong_classes
from nnc_book.networks import MLP
from nnc_book.recipes.job import Job, Lesson, Recipe, Result, Settings
from nnc_book.recipes.stages import answers, fraction, store, train

_WEIGHT_DECAY = 0.01  # AdamW's own, of all networks alike

# fmt: off
TEACHER: Settings = {
    "validation": 5000, "batch_size": 128,
    "learning_rate": 2e-3,  # AdamW's, at the peak of one cycle
    "teacher_epochs": 20,
    "teacher_shift": 2,  # pixels
    "teacher_dropout": 0.2,  # of hidden units; more wants more epochs
}
SETTINGS: Settings = TEACHER | {
    "student_epochs": 12,
    "temperature": 20.0, "alpha": 0.9,
    "smoothing": 0.1,  # of the control that smooths labels
    "kept": "0123456789",  # digits in the transfer set
}
# fmt: on


def train_teacher(job: Job) -> tuple[nn.Module, History, Job]:
    """The one teacher of all students, trained where it is not there yet, with its job."""
    s = {key: job.settings[key] for key in TEACHER}
    job = job.beside("mnist-kd", lambda: MLP(1200, 1200, dropout=s["teacher_dropout"]), s, 0)
    lesson = job.lesson()
    lesson["augment"] = lambda images, draws: random_shift(images, s["teacher_shift"], draws)
    rate, epochs = s["learning_rate"], s["teacher_epochs"]
    return *train(job, "teacher", lesson, epochs, rate, _WEIGHT_DECAY), job


def train_student(job: Job, name: str, lesson: Lesson) -> tuple[nn.Module, History]:
    """A student of whatever the lesson's loss says."""
    s = job.settings
    return train(job, name, lesson, s["student_epochs"], s["learning_rate"], _WEIGHT_DECAY)


def teach(job: Job) -> Result:
    """The teacher, and four students: labels, teacher, smoothed labels, shuffled teacher."""
    s, lesson = job.settings, job.lesson()
    teacher, history, teacher_job = train_teacher(job)
    said = answers(teacher, teacher_job, lesson["train"], "training")
    shuffled = shuffle_wrong_classes(said, lesson["train"].labels, stream(job.seed, 1))

    def smoothed(logits: Tensor, batch: Batch) -> Tensor:
        return nn.functional.cross_entropy(logits, batch.labels, label_smoothing=s["smoothing"])

    losses = {
        "plain": cross_entropy,
        "smoothed": smoothed,
        "shuffled": Distillation(shuffled, temperature=s["temperature"], alpha=s["alpha"]),
        "distilled": Distillation(said, temperature=s["temperature"], alpha=s["alpha"]),
    }
    scored = job.scored(lesson)
    spoken = predict(teacher, scored).argmax(dim=1)
    histories = {"teacher": history} if job.seed == 0 else {}
    metrics = {"teacher_accuracy": fraction(spoken == scored.labels)}
    for name, loss in losses.items():
        student, histories[name] = train_student(job, name, lesson | {"loss": loss})
        network = store(student, job.folder)  # each over the last: the taught student's stays
        answered = predict(storage.load(network).load_into(student), scored).argmax(dim=1)
        metrics[f"{name}_accuracy"] = fraction(answered == scored.labels)
        metrics[f"{name}_agreement"] = fraction(answered == spoken)
    metrics[f"{job.kind}_accuracy"] = metrics.pop("distilled_accuracy")
    metrics["parameters"] = count_parameters(student)
    metrics["teacher_parameters"] = count_parameters(teacher)
    metrics["file_bytes"] = network.stat().st_size
    everything = answers(teacher, teacher_job, job.data.train, "all").half().numpy()
    kept = save_arrays(job.folder / "training_answers.npz", logits=everything)
    return job.result(lesson, metrics, histories, network, kept, stored=job.seed == 0)


def teach_without(job: Job) -> Result:
    """A student of the teacher alone, on a transfer set that lacks some digits.

    It is scored as it is, and with one number added to the logits of either all missing digits or
    all present ones, whichever are fewer; the number is chosen on validation images.
    """
    s, lesson = job.settings, job.lesson()
    teacher, _, teacher_job = train_teacher(job)
    said = answers(teacher, teacher_job, lesson["train"], "training")
    kept = torch.tensor([int(digit) for digit in s["kept"]])
    missing = torch.tensor([digit for digit in range(10) if str(digit) not in s["kept"]])
    present = torch.isin(lesson["train"].labels, kept)
    lesson["train"] = lesson["train"].take(present)
    lesson["loss"] = Distillation(said[present], temperature=s["temperature"], alpha=s["alpha"])
    student, history = train_student(job, "distilled", lesson)
    network = store(student, job.folder)
    student = storage.load(network).load_into(student)
    moved = missing if len(missing) < len(kept) else kept
    validation = lesson["validation"]
    shift = best_shift(predict(student, validation), validation.labels, moved)
    scored = job.scored(lesson)
    before, after = predict(student, scored), predict(student, scored)
    after[:, moved] += shift
    chosen = torch.isin(scored.labels, missing)
    metrics = {
        f"{job.kind}_accuracy": fraction(after.argmax(dim=1) == scored.labels),
        "uncorrected_accuracy": fraction(before.argmax(dim=1) == scored.labels),
        "shift": shift,
        "teacher_accuracy": evaluate(teacher, scored),
        "parameters": count_parameters(student),
        "missing_images": float(chosen.sum()),
        "missing_errors_before": _errors(before, scored, chosen),
        "missing_errors_after": _errors(after, scored, chosen),
    }
    return job.result(lesson, metrics, {"distilled": history}, network, stored=False)


def _errors(logits: Tensor, split: Split, chosen: Tensor) -> float:
    return float((logits.argmax(dim=1) != split.labels)[chosen].sum())


def student() -> MLP:
    """Of 800 and 800 hidden units."""
    return MLP(800, 800)


WITHOUT = SETTINGS | {"alpha": 1.0}
# fmt: off
RECIPES = (
    Recipe("mnist-kd", "800-800 taught by 1200-1200, and two controls",
           "mnist", student, SETTINGS, teach),
    Recipe("mnist-kd-without-3", "the same on a transfer set without any 3",
           "mnist", student, WITHOUT | {"kept": "012456789"}, teach_without),
    Recipe("mnist-kd-7-and-8", "the same on a transfer set of 7s and 8s alone",
           "mnist", student, WITHOUT | {"kept": "78"}, teach_without),
)
