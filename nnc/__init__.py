"""Compressing neural networks: knowledge distillation and soft weight-sharing.

Importing this package downloads nothing, draws nothing and picks no device. The public names are
listed here; plots, widgets, records and recipes are imported by their own names.
"""

from nnc import storage
from nnc.augment import random_crop, random_flip, random_shift
from nnc.data import Dataset, Split, as_input, load, split_validation
from nnc.models import LeNet5Caffe, LeNet300100, count_parameters, prunable_weights
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
from nnc.training import Batch, cross_entropy, evaluate, fit, predict

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Beta",
    "Dataset",
    "Gamma",
    "GaussianMixturePrior",
    "GaussianPrior",
    "HyperPriors",
    "LeNet300100",
    "LeNet5Caffe",
    "Mixture",
    "Quantised",
    "Split",
    "as_input",
    "assign",
    "count_parameters",
    "cross_entropy",
    "evaluate",
    "fit",
    "freeze",
    "load",
    "merge",
    "predict",
    "prunable_weights",
    "quantise",
    "random_crop",
    "random_flip",
    "random_shift",
    "split_validation",
    "storage",
    "unfreeze",
]
