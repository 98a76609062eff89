"""Compressing neural networks: knowledge distillation and soft weight-sharing.

Importing this package downloads nothing, draws nothing and picks no device. The public names are
listed here; plots, widgets, records and recipes are imported by their own names.
"""

from nnc import storage
from nnc.augment import random_crop, random_flip, random_shift
from nnc.calibration import Reliability, reliability
from nnc.data import Dataset, Split, as_input, load, split_validation
from nnc.folding import (
    fold_batch_norm,
    fold_empty_units,
    remove_empty_units,
    rescale,
)
from nnc.kmeans import code_rest, kmeans, quantise_kmeans
from nnc.losses import distillation_loss, soft_targets
from nnc.models import (
    MLP,
    VGG,
    LeNet5Caffe,
    LeNet300100,
    count_layers,
    count_operations,
    count_parameters,
    mini_vgg,
    prunable_weights,
    vgg11,
    vgg13,
    vgg16,
    vgg19,
)
from nnc.priors import (
    Beta,
    Gamma,
    GaussianMixturePrior,
    GaussianPrior,
    HyperPriors,
    Mixture,
)
from nnc.pruning import assign, freeze, merge, quantise, unfreeze
from nnc.quantised import Quantised
from nnc.teaching import (
    Distillation,
    Views,
    best_shift,
    shuffle_wrong_classes,
    teacher_logits,
)
from nnc.training import Batch, cross_entropy, evaluate, fit, predict

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Beta",
    "Dataset",
    "Distillation",
    "Gamma",
    "GaussianMixturePrior",
    "GaussianPrior",
    "HyperPriors",
    "LeNet300100",
    "LeNet5Caffe",
    "MLP",
    "Mixture",
    "Quantised",
    "Reliability",
    "Split",
    "VGG",
    "Views",
    "as_input",
    "assign",
    "best_shift",
    "code_rest",
    "count_layers",
    "count_operations",
    "count_parameters",
    "cross_entropy",
    "distillation_loss",
    "evaluate",
    "fit",
    "fold_batch_norm",
    "fold_empty_units",
    "freeze",
    "kmeans",
    "load",
    "merge",
    "mini_vgg",
    "predict",
    "prunable_weights",
    "quantise",
    "quantise_kmeans",
    "random_crop",
    "random_flip",
    "random_shift",
    "reliability",
    "remove_empty_units",
    "rescale",
    "shuffle_wrong_classes",
    "soft_targets",
    "split_validation",
    "storage",
    "teacher_logits",
    "unfreeze",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
]
