"""Compressing neural networks: knowledge distillation and soft weight-sharing.

Importing this package downloads nothing, draws nothing and picks no device. Networks are saved
and loaded by ``save`` and ``load``; data sets are in :mod:`nnc.data`, the file format and its
coders in :mod:`nnc.storage`.
"""

# fmt: off
# isort: off
from nnc import data, storage
from nnc.losses import distillation_loss, soft_targets
from nnc.models import (
    VGG, LeNet5Caffe, LeNet300100, count_parameters, mini_vgg, vgg13,
)
from nnc.priors import Beta, Gamma, GaussianMixturePrior, HyperPriors, Mixture
from nnc.pruning import (
    BudgetedSharing,
    Quantised, SoftWeightSharing, assign, code_rest, fold_batch_norm, freeze,
    kmeans, merge, quantise, quantise_kmeans, sort_units, unfreeze,
)
from nnc.storage import load, open, save
from nnc.training import Batch, Distillation, cross_entropy, evaluate, fit, predict
from nnc.weights import make_plain, prunable_weights

__version__ = "0.1.0"

__all__ = [
    "Batch", "Beta", "BudgetedSharing", "Distillation", "Gamma", "GaussianMixturePrior",
    "HyperPriors", "LeNet300100", "LeNet5Caffe", "Mixture", "Quantised", "SoftWeightSharing",
    "VGG", "assign", "code_rest", "count_parameters", "cross_entropy", "data",
    "distillation_loss", "evaluate", "fit", "fold_batch_norm", "freeze",
    "kmeans", "load", "make_plain", "merge", "mini_vgg", "open", "predict", "prunable_weights",
    "quantise", "quantise_kmeans", "save", "soft_targets", "sort_units", "storage", "unfreeze",
    "vgg13",
]
