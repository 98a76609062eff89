"""LeNets on MNIST made small: by soft weight-sharing and by magnitude pruning, taught and not.

Recipes named ``-kd-`` see digits shifted by up to two pixels, and a small convolutional network's
soft targets are their error term, in every stage. The others see the digits as they are, and no
teacher, as the published figures do.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import torch
from torch import nn

from nnc.models import LeNet5Caffe, LeNet300100
from nnc.pruning import BudgetedSharing, SoftWeightSharing, quantise_kmeans
from nnc.training import Distillation, History, evaluate, fit
from nnc_book.augment import random_shift
from nnc_book.frames import Film
from nnc_book.recipes import stages
from nnc_book.recipes.job import Histories, Job, Lesson, Recipe, Result, Settings, mark
from nnc_book.teaching import Views, teacher_logits

# fmt: off
TEACHER: Settings = {
    "validation": 5000, "batch_size": 128, "epochs": 12,
    "learning_rate": 2e-3, "weight_decay": 0.05,  # AdamW's, at the peak of one cycle
    "shift": 2,  # pixels
}
DENSE: Settings = {
    "validation": 5000, "batch_size": 128, "dense_epochs": 30,
    "dense_learning_rate": 2e-3, "dense_weight_decay": 0.1,  # AdamW's, at the peak of one cycle
}
STORED: Settings = {
    "frozen_epochs": 15, "frozen_learning_rate": 1e-3,  # Adam's
    "rest_levels": 16,  # entries of the codebook of biases
    "precision": "float16",  # of codebooks and of numbers that are not coded
}
SHARED: Settings = DENSE | STORED | {
    "cluster_epochs": 40,
    "tau": 0.17, "ramp": 0.25, "ease": 0.4, "relief": 0.2,  # how hard the prior pulls
    "components": 16, "mean_range": 0.6, "sigma": 0.25, "pi_0": 0.9999,  # beside the zero
    "zero_shape": 5000.0, "zero_rate": 2.0, "other_shape": 250.0, "other_rate": 0.1,
    "weight_learning_rate": 1e-3, "mean_learning_rate": 1e-4,  # Adam's
    "mixture_learning_rate": 3e-3,  # of log-precisions and mixing logits
    "merge_threshold": 0.1, "assign_by": "responsibility",
}
SETTLED: Settings = SHARED | {
    "rest_levels": 24,
    "settle_epochs": 5,  # 0 for codebooks at once
    "levels": 8,  # of each layer's codebook, zero among them; 0 for the mixture's values
}
PRUNED: Settings = DENSE | STORED | {
    "prune_epochs": 30, "prune_ramp": 0.7,  # share of the epochs in which the sparsity grows
    "prune_learning_rate": 1e-3,  # Adam's
    "target_sparsity": 0.975,  # over all layers, smallest magnitudes first
    "levels": 16,  # of each layer's codebook, zero among them
}
TAUGHT: Settings = {
    "crop": 2,  # pixels padded by reflection before a random crop
    "views": 10,  # epoch e sees view e mod 10
    "temperature": 4.0, "alpha": 0.9,
}
# Sharing within a budget: the same settings for every network, and what may be lost.
WITHIN: Settings = DENSE | {
    "share_epochs": 60, "share_batch_size": 256, "share_learning_rate": 2e-3,  # Adam's
    "lose": 0.0025,  # of the accuracy on validation images
    "rest_levels": 16, "precision": "float16",
}
# Which weights stay is decided while the zero component becomes narrow: let it take its time.
LENET300_TAUGHT = SETTLED | TAUGHT | {
    "tau": 0.2, "mixture_learning_rate": 1e-3,
    "cluster_epochs": 30, "settle_epochs": 2, "frozen_epochs": 18,
}
LENET300_TAUGHT_8K = SHARED | TAUGHT | {"tau": 0.3, "cluster_epochs": 30, "frozen_epochs": 20}
LENET5 = SETTLED | {
    "tau": 0.04, "mixture_learning_rate": 1.5e-3, "levels": 12,
    "dense_epochs": 8, "cluster_epochs": 16, "frozen_epochs": 3,
}
LENET5_TAUGHT = LENET5 | TAUGHT | {"tau": 0.22, "cluster_epochs": 20, "levels": 8}
LENET5_PRUNED = PRUNED | {
    "dense_epochs": 8, "prune_epochs": 16, "frozen_epochs": 8, "target_sparsity": 0.99, "levels": 8,
}
COARSE = DENSE | STORED | {"frozen_epochs": 12, "bits": [8, 4, 3, 2]}
LEVER = SHARED | {"lever": "as recorded", "cluster_epochs": 12, "frozen_epochs": 4}
# fmt: on


def share(job: Job, filmed: bool = False) -> Result:
    """Train, cluster, hold the zeros while the rest settles, train the values, store and score.

    Without a codebook for each layer the network keeps the mixture's values. With one, the mixture
    says which weights are zero, and for the few that are left a layer's own values are nearer than
    components that serve all layers.
    """
    s = job.settings
    lesson = learnt(job)
    model, history = dense(job, lesson)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    sharing = SoftWeightSharing(
        model, examples=len(lesson["train"]), steps=stages.steps(lesson, s["cluster_epochs"]),
        tau=s["tau"], prior=stages.mixture(s, model), ramp=s["ramp"], ease=s["ease"],
        relief=s["relief"], threshold=s["merge_threshold"], by=s["assign_by"],
    )  # fmt: skip
    film = Film(job.folder / "frames", model, sharing.prior) if filmed else None
    history["cluster"] = stages.under_prior(job, "cluster", lesson, sharing, film)
    if s.get("levels"):
        sharing.hold_zeros()
        if s["settle_epochs"]:
            history["settle"] = stages.under_prior(job, "settle", lesson, sharing)
    assigned = sharing.quantise(s.get("levels") or None)
    extras = [film.save(job.folder / "film.npz")] if film else []
    return stages.finish(job, lesson, metrics, history, assigned, *extras)


def share_within(job: Job) -> Result:
    """Train, make small within what may be lost on validation images, store and score."""
    s, lesson = job.settings, learnt(job)
    model, history = dense(job, lesson)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    lesson["batch_size"] = s["share_batch_size"]
    sharing = BudgetedSharing(
        model, steps=stages.steps(lesson, s["share_epochs"]), lose=s["lose"],
        held_out=lambda network: 1 - evaluate(network, lesson["validation"]),
    )  # fmt: skip
    weights = {"params": model.parameters(), "lr": s["share_learning_rate"]}
    history["share"] = fit(
        model, **lesson, **stages.cooling([weights], lesson, s["share_epochs"], over=1.0),
        prior=sharing, after_step=sharing.step, measure=lambda _: sharing.measure(),
        **job.resuming("share"),
    )  # fmt: skip
    network = job.folder / "network.sws"
    stored = stages.store_and_score(job, lesson, sharing.quantise(), network)
    return job.result(lesson, metrics | stored, history, network)


def prune(job: Job) -> Result:
    """Train, prune by magnitude, cluster what is left by k-means, train the values, store."""
    lesson = learnt(job)
    model, history = dense(job, lesson)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    history["prune"] = stages.prune_gradually(job, lesson, model)
    assigned = quantise_kmeans(model.state_dict(), job.settings["levels"])
    return stages.finish(job, lesson, metrics, history, assigned)


def coarsen(job: Job) -> Result:
    """No pruning: k-means at several widths, each trained on with the assignment frozen.

    The network kept is that of the first width, of seed 0 alone; figures of each width carry it,
    ``test_accuracy_4``.
    """
    lesson, widths = job.lesson(), job.settings["bits"]
    model, history = dense(job, lesson)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    for bits in widths:
        coarse = quantise_kmeans(model.state_dict(), 2**bits)
        path, stage = job.folder / f"network-{bits}.sws", f"frozen-{bits}"
        found, frozen = stages.train_and_store(job, lesson, coarse, path, stage)
        history[f"frozen_{bits}"] = frozen
        metrics = found | metrics | {f"{key}_{bits}": value for key, value in found.items()}
    first = job.folder / f"network-{widths[0]}.sws"
    return job.result(lesson, metrics, history, first, stored=job.seed == 0)


def pull(job: Job) -> Result:
    """What one setting of soft weight-sharing buys: the recipe with one of its levers moved."""
    lever = job.settings["lever"]
    if lever not in LEVERS:
        raise ValueError(f"lever is {lever!r}, must be one of {', '.join(LEVERS)}")
    return share(dataclasses.replace(job, settings=job.settings | LEVERS[lever]))


def teach(job: Job) -> Result:
    """Train and score the teacher; the record keeps its SHA-256 alone."""
    lesson = job.lesson()
    model, history = train_teacher(job)
    accuracy = {f"{job.kind}_accuracy": evaluate(model, job.scored(lesson))}
    network = stages.store(model, job.folder)
    metrics = accuracy | stages.describe(model)
    return job.result(lesson, metrics, {"train": history}, network, stored=False)


def learnt(job: Job) -> Lesson:
    """What every stage learns: labels, or a teacher's soft targets on shifted digits too."""
    s, lesson = job.settings, job.lesson()
    if "alpha" not in s:
        return lesson
    settings = TEACHER | {"validation": s["validation"]}
    its = job.beside("lenet5-shifted", lenet5, settings, seed=0)
    teacher, _ = train_teacher(its)
    views = Views(lesson["train"], s["views"], crop=s["crop"])
    said = teacher_logits(teacher, views, its.folder / "views", job.progress)
    loss = Distillation(said, temperature=s["temperature"], alpha=s["alpha"])
    return lesson | {"loss": loss, "views": views}


def train_teacher(job: Job) -> tuple[nn.Module, History]:
    """LeNet-5 on shifted digits, trained where it is not there yet."""
    s, lesson = job.settings, job.lesson()
    lesson["augment"] = lambda images, generator: random_shift(images, s["shift"], generator)
    return stages.train(job, "train", lesson, s["epochs"], s["learning_rate"], s["weight_decay"])


def dense(job: Job, lesson: Lesson) -> tuple[nn.Module, Histories]:
    """Step 1, once for all recipes that share its settings, data and seed."""
    s = {key: value for key, value in job.settings.items() if key in DENSE | TAUGHT}
    job = job.beside(f"dense-{job.build.__name__}-{mark(s)}", job.build, s, job.seed)
    epochs, rate, decay = (s[f"dense_{key}"] for key in ("epochs", "learning_rate", "weight_decay"))
    model, history = stages.train(job, "dense", lesson, epochs, rate, decay)
    return model, {"dense": history}


def lenet5() -> LeNet5Caffe:
    """LeNet-5 with the channels innermost, as convolutions on processors like it."""
    return LeNet5Caffe().to(memory_format=torch.channels_last)


_SLOWER = {"mixture_learning_rate": 1e-3}
_NO_HYPER_PRIORS = {"zero_shape": 1.0, "zero_rate": 1e-9, "other_shape": 1.0, "other_rate": 1e-9}
LEVERS: dict[str, Settings] = {
    "as recorded": {},
    "full weight from the first step": {"ramp": 1e-9},
    "no easing at the end": {"relief": 1.0},
    "tau four times larger": {"tau": 4 * SHARED["tau"]},
    "tau four times smaller": {"tau": SHARED["tau"] / 4},
    "pi_0 = 0.99": {"pi_0": 0.99},
    "pi_0 learnt under a Beta prior": {"beta": (5000.0, 2.0)},
    "a scale per layer": {"scale_per_layer": True},
    "assigned by likelihood": {"assign_by": "likelihood"},
    "nothing merged": {"merge_threshold": 0.0},
    "no hyper-priors": _NO_HYPER_PRIORS,
    "4 components": {"components": 4},
    "a slower mixture": _SLOWER,
    "a codebook per layer": {"levels": 8, "settle_epochs": 0},
    "settled": {"levels": 8, "settle_epochs": 3},
    "settled after a slower mixture": _SLOWER | {"levels": 8, "settle_epochs": 3},
}
# Trials of a search: enough for a ranking of settings.
_SHORT = {"cluster_epochs": 15, "frozen_epochs": 5}
_UNSETTLED = _SHORT | {"settle_epochs": 0, "levels": 0, "mixture_learning_rate": 3e-3}
_TAUS = tuple(_SHORT | {"tau": tau} for tau in (0.03, 0.05, 0.1, 0.2))
_TAUGHT_TAUS = tuple(_UNSETTLED | {"tau": tau} for tau in (0.07, 0.2, 0.7, 1.7))
_FEW = {"prune_epochs": 15, "frozen_epochs": 5}
_SPARSITIES = tuple(_FEW | {"target_sparsity": part} for part in (0.96, 0.97, 0.98, 0.99))
# fmt: off
RECIPES = (
    Recipe("lenet5-shifted", "the teacher of the LeNets: LeNet-5 on shifted digits, one run",
           "mnist", lenet5, TEACHER, teach),
    Recipe("lenet300-sws", "soft weight-sharing of LeNet-300-100, plain images, no teacher",
           "mnist", LeNet300100, SHARED, partial(share, filmed=True), _TAUS),
    Recipe("lenet300-sws-8k", "the same with a weaker prior: accuracy first",
           "mnist", LeNet300100, SHARED | {"tau": 0.03, "cluster_epochs": 30}, share, _TAUS),
    Recipe("lenet300-kd-sws", "soft weight-sharing of LeNet-300-100 under a teacher",
           "mnist", LeNet300100, LENET300_TAUGHT, share, _TAUGHT_TAUS),
    Recipe("lenet300-kd-sws-8k", "the same with a faster mixture: accuracy first",
           "mnist", LeNet300100, LENET300_TAUGHT_8K, share),
    Recipe("lenet300-share", "weight-sharing of LeNet-300-100 that may lose 0.25 points",
           "mnist", LeNet300100, WITHIN | {"share_epochs": 90}, share_within),
    Recipe("lenet300-share-small", "the same, that may lose 0.7 points",
           "mnist", LeNet300100, WITHIN | {"lose": 0.007}, share_within),
    Recipe("lenet300-kd-share", "weight-sharing under a teacher that may lose one point",
           "mnist", LeNet300100, WITHIN | TAUGHT | {"share_epochs": 90, "lose": 0.01},
           share_within),
    Recipe("lenet5-share", "weight-sharing of LeNet-5 that may lose 0.2 points",
           "mnist", lenet5, WITHIN | {"dense_epochs": 8, "lose": 0.002}, share_within),
    Recipe("lenet5-kd-share", "the same under a teacher",
           "mnist", lenet5, WITHIN | TAUGHT | {"dense_epochs": 8, "lose": 0.002}, share_within),
    Recipe("lenet300-magnitude", "magnitude pruning and k-means of LeNet-300-100",
           "mnist", LeNet300100, PRUNED, prune, _SPARSITIES),
    Recipe("lenet300-kd-magnitude", "the same under the teacher",
           "mnist", LeNet300100, PRUNED | TAUGHT | {"frozen_epochs": 20}, prune, _SPARSITIES),
    Recipe("lenet5-sws", "soft weight-sharing of LeNet-5, plain images, no teacher",
           "mnist", lenet5, LENET5, share),
    Recipe("lenet5-kd-sws", "soft weight-sharing of LeNet-5 under a teacher",
           "mnist", lenet5, LENET5_TAUGHT, share),
    Recipe("lenet5-magnitude", "magnitude pruning and k-means of LeNet-5",
           "mnist", lenet5, LENET5_PRUNED, prune),
    Recipe("lenet300-quantised", "no pruning: k-means codebooks of 8, 4, 3 and 2 bits",
           "mnist", LeNet300100, COARSE, coarsen),
    Recipe("lenet300-levers", "soft weight-sharing of LeNet-300-100, one setting changed at a time",
           "mnist", LeNet300100, LEVER, pull, tuple({"lever": lever} for lever in LEVERS)),
)
