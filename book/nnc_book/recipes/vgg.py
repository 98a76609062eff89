"""Networks of the VGG family on CIFAR-10: a teacher, its students, and students made small.

All students see the same schedule of augmented views, have the same optimiser and number of
steps, and differ in the loss alone: labels, labels and the teacher, the teacher alone. While they
are made small they learn what they learnt before. Two more are trained by the recipe of the
repository that this book follows. Sources: Hinton, Vinyals and Dean (2015); Smith and Topin,
"Super-convergence" (2018), for the schedule; okz12, "NeuralNetworkCompression".
"""

from __future__ import annotations

from functools import partial

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from nnc import storage
from nnc.data import random_crop, random_flip, split_validation
from nnc.files import atomic_write
from nnc.losses import soft_targets
from nnc.models import mini_vgg, vgg13
from nnc.pruning import SoftWeightSharing, quantise_kmeans, rescale
from nnc.training import (
    Batch,
    Distillation,
    History,
    Views,
    cross_entropy,
    evaluate,
    fit,
    predict,
    teacher_logits,
)
from nnc_book.arrays import save_arrays
from nnc_book.calibration import instructive, reliability
from nnc_book.recipes import stages
from nnc_book.recipes.job import Job, Lesson, Recipe, Result, Settings

# fmt: off
TEACHER: Settings = {
    "validation": 5000, "batch_size": 128, "epochs": 14,
    "learning_rate": 0.1, "warm_up": 0.15,  # at the peak; share of the steps before it
    "momentum": 0.9, "weight_decay": 5e-4,  # Nesterov's
    "crop": 4,  # pixels padded by reflection before the crop
}
BASELINE: Settings = TEACHER | {
    "epochs": 7,
    "weight_decay": 1e-3,  # with the peak's learning rate, the best of the baseline's trials
    "views": 5,  # epoch e sees view e mod 5
    "share": 1.0,  # of the training images, every class in proportion
    "temperature": 8.0,  # the best of the trials
    "alpha": 0.0,  # weight of the teacher: 0 is the baseline, 1 reads no label
}
STUDENTS: dict[str, Settings] = {
    "mini-vgg": BASELINE,
    "mini-vgg-kd": BASELINE | {"alpha": 0.9},
    "mini-vgg-kd-unlabelled": BASELINE | {"alpha": 1.0},
    "mini-vgg-tenth": BASELINE | {"share": 0.1, "epochs": 30},
    "mini-vgg-kd-tenth": BASELINE | {"share": 0.1, "epochs": 30, "alpha": 0.9},
}
ORIGINAL: Settings = {  # the repository has no validation images and 80 epochs
    "validation": 5000, "batch_size": 128, "epochs": 6,
    "learning_rate": 0.01, "temperature": 15.0, "alpha": 0.0,
}
STORED: Settings = {
    "validation": 5000, "batch_size": 128,
    "frozen_epochs": 3, "frozen_learning_rate": 1e-3,  # Adam's
    "rest_levels": 64,  # entries of the codebook of biases and of batch norm's numbers
    "precision": "float16",
}
SHARED: Settings = STORED | {
    "deviation": 0.05,  # of every layer's weights at the start, as batch norm allows
    "cluster_epochs": 4,
    "tau": 0.12, "ramp": 0.25, "ease": 0.4, "relief": 0.2,  # how hard the prior pulls
    "components": 16, "mean_range": 0.25, "sigma": 0.05,  # besides the zero component
    "pi_0": 0.99,  # nearer to the sparsity that is wanted: there are few steps to find it
    "zero_shape": 5000.0, "zero_rate": 2.0, "other_shape": 250.0, "other_rate": 0.1,
    "weight_learning_rate": 1e-3, "mean_learning_rate": 3e-4,  # Adam's
    "mixture_learning_rate": 1e-2,  # as many steps as an eighth of LeNet's
    "merge_threshold": 0.1, "assign_by": "responsibility",
}
SHARED_ON_LABELS = SHARED | {"tau": 0.05}  # they pull less hard than a teacher at T = 8
PRUNED: Settings = STORED | {
    "prune_epochs": 4, "prune_ramp": 0.7,  # share of the epochs in which the sparsity grows
    "prune_learning_rate": 1e-3,  # Adam's
    "target_sparsity": 0.92,  # over all layers: wide ones have smaller weights and lose more
    "levels": 16,  # of each layer's codebook, zero among them
}
# fmt: on
_TRIAL_SEED = 0  # of the student that a search starts from: seeds of searches have none


def teach(job: Job) -> Result:
    """Train the teacher; the record keeps its SHA-256 and what it says of the test images."""
    lesson = job.lesson()
    model, history = train_teacher(job)
    network = job.folder / "network.safetensors"
    state = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    atomic_write(network, safetensors.torch.save(state))
    scored = job.scored(lesson)
    logits = stages.answers(model, job, scored, job.kind)
    metrics = score(logits, scored.labels, job) | stages.describe(model)
    chosen = instructive(logits, scored.labels)
    kept = save_arrays(
        job.folder / "answers.npz",
        logits=logits.half().numpy(),
        labels=scored.labels.numpy().astype(np.uint8),
        chosen=chosen.numpy(),
        thumbnails=scored.images[chosen].numpy(),
    )
    return job.result(lesson, metrics, {"train": history}, network, kept, stored=False)


def learn(job: Job) -> Result:
    """Train a student; where there is no teacher yet, it is trained first."""
    lesson = learnt(job)
    return finish(job, lesson, *train(job, lesson))


def learn_as_original(job: Job) -> Result:
    """Train a student the repository's way: Adam, no augmentation, one order, no factor T²."""
    s, lesson = job.settings, job.lesson()
    images = lesson["train"]
    said = stages.answers(*teacher_of(job), images, f"plain-{len(images)}")

    def loss(logits: Tensor, batch: Batch) -> Tensor:
        targets = soft_targets(said[batch.indices].to(logits), s["temperature"])
        soft = nn.functional.cross_entropy(logits / s["temperature"], targets)
        return (1 - s["alpha"]) * cross_entropy(logits, batch) + s["alpha"] * soft

    torch.manual_seed(job.seed)
    model = job.build().to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=s["learning_rate"])
    steps = stages.steps(lesson, s["epochs"])
    # After 30 and 60 of the repository's 80 epochs.
    drops = [3 * steps // 8, 6 * steps // 8]
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimiser, drops, gamma=0.1)
    options = {"optimiser": optimiser, "scheduler": scheduler, "epochs": s["epochs"]}
    lesson |= {"loss": loss, "shuffle": False}
    history = fit(model, **lesson, **options, **job.resuming("train"))
    return finish(job, lesson, model, history)


def share(job: Job, student: str) -> Result:
    """A recorded student, clustered; its values are trained, stored and scored."""
    s = job.settings
    lesson, model = start(job, student)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    # One mixture for all layers asks for one width.
    model = rescale(model, s["deviation"])
    sharing = SoftWeightSharing(
        model, examples=len(lesson["train"]), steps=stages.steps(lesson, s["cluster_epochs"]),
        tau=s["tau"], prior=stages.mixture(s, model), ramp=s["ramp"], ease=s["ease"],
        relief=s["relief"], threshold=s["merge_threshold"], by=s["assign_by"],
    )  # fmt: skip
    history = {"cluster": stages.under_prior(job, "cluster", lesson, sharing)}
    assigned = sharing.quantise()
    shared = stages.rebuilt(job, lesson, assigned)
    metrics["assigned_accuracy"] = evaluate(shared, job.scored(lesson))
    network = job.folder / "network.sws"
    stored, history["frozen"] = stages.train_and_store(job, lesson, assigned, network)
    return job.result(lesson, metrics | stored, history, network)


def prune(job: Job, student: str) -> Result:
    """A recorded student, pruned by magnitude; magnitudes are compared as they are."""
    lesson, model = start(job, student)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    history = {"prune": stages.prune_gradually(job, lesson, model)}
    assigned = quantise_kmeans(model.state_dict(), job.settings["levels"])
    shared = stages.rebuilt(job, lesson, assigned)
    metrics["assigned_accuracy"] = evaluate(shared, job.scored(lesson))
    network = job.folder / "network.sws"
    stored, history["frozen"] = stages.train_and_store(job, lesson, assigned, network)
    return job.result(lesson, metrics | stored, history, network)


def learnt(job: Job) -> Lesson:
    """What a student learns, and on which views."""
    s, lesson = job.settings, job.lesson()
    if s["share"] < 1:
        kept = round(s["share"] * len(lesson["train"]))
        lesson["train"] = split_validation(lesson["train"], kept, seed=1)[1]
    lesson["views"] = Views(lesson["train"], s["views"], crop=s["crop"], flip=True)
    if s["alpha"]:
        teacher, its = teacher_of(job)
        folder = its.folder / f"views-{len(lesson['train'])}"
        said = teacher_logits(teacher, lesson["views"], folder, job.progress)
        lesson["loss"] = Distillation(said, temperature=s["temperature"], alpha=s["alpha"])
    return lesson


def start(job: Job, student: str) -> tuple[Lesson, nn.Module]:
    """What a recorded student learnt, and the student, trained first where it is not there yet."""
    seed = _TRIAL_SEED if job.searching else job.seed
    its = job.beside(student, job.build, STUDENTS[student], seed)
    lesson = learnt(its)
    model, _ = train(its, lesson)
    return lesson | {"batch_size": job.settings["batch_size"]}, model


def teacher_of(job: Job) -> tuple[nn.Module, Job]:
    """The one teacher of all students, trained where it is not there yet, and its job."""
    settings = TEACHER | {"validation": job.settings["validation"]}
    its = job.beside("vgg13", vgg13, settings, seed=0)
    return train_teacher(its)[0], its


def train_teacher(job: Job) -> tuple[nn.Module, History]:
    """The teacher, trained on labels, on fresh crops and mirrors in each step."""
    crop, lesson = job.settings["crop"], job.lesson()
    lesson["augment"] = lambda images, draws: random_flip(random_crop(images, crop, draws), draws)
    return train(job, lesson)


def train(job: Job, lesson: Lesson) -> tuple[nn.Module, History]:
    """A network by the schedule that teacher and students share."""
    s = job.settings
    torch.manual_seed(job.seed)
    # Convolutions on processors are faster with the channels innermost.
    model = job.build().to(memory_format=torch.channels_last)
    rate, momentum, decay = s["learning_rate"], s["momentum"], s["weight_decay"]
    optimiser = torch.optim.SGD(
        model.parameters(), lr=rate, momentum=momentum, nesterov=True, weight_decay=decay
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=stages.steps(lesson, s["epochs"]), pct_start=s["warm_up"],
        anneal_strategy="linear", cycle_momentum=False,
    )  # fmt: skip
    options = {"optimiser": optimiser, "scheduler": scheduler, "epochs": s["epochs"]}
    return model, fit(model, **lesson, **options, **job.resuming("train"))


def finish(job: Job, lesson: Lesson, model: nn.Module, history: History) -> Result:
    """Store a student, read it back and score it beside its teacher."""
    network = stages.store(model, job.folder)
    scored = job.scored(lesson)
    logits = predict(storage.load(network).load_into(job.build()), scored)
    said = stages.answers(*teacher_of(job), scored, job.kind).argmax(dim=1)
    metrics = {
        **score(logits, scored.labels, job),
        "teacher_accuracy": stages.fraction(said == scored.labels),
        "agreement": stages.fraction(said == logits.argmax(dim=1)),
        **stages.describe(model),
        "file_bytes": network.stat().st_size,
    }
    kept = save_arrays(job.folder / "answers.npz", logits=logits.half().numpy())
    # No chapter asks the student of the teacher alone anything more: its SHA-256 will do.
    stored = job.seed == 0 and job.settings["alpha"] < 1
    return job.result(lesson, metrics, {"train": history}, network, kept, stored=stored)


def score(logits: Tensor, labels: Tensor, job: Job) -> dict[str, float]:
    """Accuracy, cross-entropy in nats, calibration error, and accuracy class by class."""
    right = logits.argmax(dim=1) == labels
    of_class = [stages.fraction(right[labels == i]) for i in range(len(job.data.classes))]
    names = [f"accuracy_{name}" for name in job.data.classes]
    return {
        f"{job.kind}_accuracy": stages.fraction(right),
        f"{job.kind}_loss": nn.functional.cross_entropy(logits, labels).item(),
        "calibration_error": reliability(logits, labels).error(),
        **dict(zip(names, of_class, strict=True)),
    }


# As many trials for the baseline as for the taught student: two epochs, a rough ranking.
_RATES = tuple(
    {"epochs": 2, "learning_rate": r, "weight_decay": 5e-4} for r in (0.05, 0.1, 0.2, 0.4)
)
_DECAYS = tuple({"epochs": 2, "weight_decay": decay} for decay in (1e-4, 1e-3))
_HEATS = tuple({"epochs": 2, "temperature": t} for t in (1.0, 2.0, 4.0, 8.0, 16.0))
_TEACHING = (*_HEATS, {"epochs": 2, "temperature": 4.0, "alpha": 0.5})
# LeNet's mixture as it is.
_LENETS = {"pi_0": 0.9999, "sigma": 0.25, "mean_range": 0.6, "cluster_epochs": 5}
_TAUS = tuple(_LENETS | {"frozen_epochs": 2, "tau": tau} for tau in (0.03, 0.09, 0.01))
_SPARSITIES = tuple({"target_sparsity": sparsity} for sparsity in (0.88, 0.92, 0.95))
_JPEG = "cifar10-jpeg"
# fmt: off
RECIPES = (
    Recipe("vgg13", "the teacher: VGG-13 on labels, one run", _JPEG, vgg13, TEACHER, teach),
    Recipe("mini-vgg", "MiniVGG on labels: the baseline",
           _JPEG, mini_vgg, STUDENTS["mini-vgg"], learn, _RATES + _DECAYS),
    Recipe("mini-vgg-kd", "MiniVGG on labels and on the teacher",
           _JPEG, mini_vgg, STUDENTS["mini-vgg-kd"], learn, _TEACHING),
    Recipe("mini-vgg-kd-unlabelled", "MiniVGG on the teacher alone",
           _JPEG, mini_vgg, STUDENTS["mini-vgg-kd-unlabelled"], learn),
    Recipe("mini-vgg-tenth", "MiniVGG on a tenth of the images",
           _JPEG, mini_vgg, STUDENTS["mini-vgg-tenth"], learn),
    Recipe("mini-vgg-kd-tenth", "the same, distilled on that tenth",
           _JPEG, mini_vgg, STUDENTS["mini-vgg-kd-tenth"], learn),
    Recipe("mini-vgg-original-recipe", "MiniVGG by the original repository's recipe",
           _JPEG, mini_vgg, ORIGINAL, learn_as_original),
    Recipe("mini-vgg-kd-original-recipe", "the same, distilled its way",
           _JPEG, mini_vgg, ORIGINAL | {"alpha": 0.8}, learn_as_original),
    Recipe("mini-vgg-sws", "soft weight-sharing of MiniVGG on labels",
           _JPEG, mini_vgg, SHARED_ON_LABELS, partial(share, student="mini-vgg"), _TAUS),
    Recipe("mini-vgg-kd-sws", "distil, then share: soft weight-sharing of the distilled MiniVGG",
           _JPEG, mini_vgg, SHARED, partial(share, student="mini-vgg-kd"), _TAUS),
    Recipe("mini-vgg-magnitude", "magnitude pruning of MiniVGG on labels",
           _JPEG, mini_vgg, PRUNED, partial(prune, student="mini-vgg"), _SPARSITIES),
)
