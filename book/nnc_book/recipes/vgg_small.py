"""Students of the VGG family made small: soft weight-sharing, and pruning by magnitude.

While they are made small they learn what they learnt before.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from nnc.models import mini_vgg
from nnc.pruning import SoftWeightSharing, quantise_kmeans
from nnc.training import evaluate
from nnc_book.networks import rescale
from nnc_book.recipes import stages, vgg
from nnc_book.recipes.job import Job, Lesson, Recipe, Result, Settings

# fmt: off
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
    return stages.finish(job, lesson, metrics, history, assigned)


def prune(job: Job, student: str) -> Result:
    """A recorded student, pruned by magnitude; magnitudes are compared as they are."""
    lesson, model = start(job, student)
    metrics = {"dense_accuracy": evaluate(model, job.scored(lesson))}
    history = {"prune": stages.prune_gradually(job, lesson, model)}
    assigned = quantise_kmeans(model.state_dict(), job.settings["levels"])
    return stages.finish(job, lesson, metrics, history, assigned)


def start(job: Job, student: str) -> tuple[Lesson, nn.Module]:
    """What a recorded student learnt, and the student, trained first where it is not there yet."""
    seed = _TRIAL_SEED if job.searching else job.seed
    lesson, model, _ = vgg.trained(job.beside(student, *vgg.NETWORKS[student], seed))
    # Prior and codebooks are of float32 weights; there are few epochs of them.
    return lesson | {"batch_size": job.settings["batch_size"], "precision": "float32"}, model


# LeNet's mixture as it is.
_LENETS = {"pi_0": 0.9999, "sigma": 0.25, "mean_range": 0.6, "cluster_epochs": 5}
_TAUS = tuple(_LENETS | {"frozen_epochs": 2, "tau": tau} for tau in (0.03, 0.09, 0.01))
_SPARSITIES = tuple({"target_sparsity": sparsity} for sparsity in (0.88, 0.92, 0.95))
_JPEG = "cifar10-jpeg"
# fmt: off
RECIPES = (
    Recipe("mini-vgg-sws", "soft weight-sharing of MiniVGG on labels",
           _JPEG, mini_vgg, SHARED_ON_LABELS, partial(share, student="mini-vgg"), _TAUS),
    Recipe("mini-vgg-kd-sws", "distil, then share: soft weight-sharing of the distilled MiniVGG",
           _JPEG, mini_vgg, SHARED, partial(share, student="mini-vgg-kd"), _TAUS),
    Recipe("mini-vgg-magnitude", "magnitude pruning of MiniVGG on labels",
           _JPEG, mini_vgg, PRUNED, partial(prune, student="mini-vgg"), _SPARSITIES),
)
