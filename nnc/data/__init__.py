"""Data sets as plain tensors, and augmentations of whole batches."""

from nnc.data.augment import random_crop, random_flip, random_shift
from nnc.data.sets import NAMES, Dataset, Split, as_input, load, split_validation, where

__all__ = [
    "NAMES", "Dataset", "Split", "as_input", "load", "random_crop", "random_flip", "random_shift",
    "split_validation", "where",
]  # fmt: skip
