"""Data sets as plain tensors."""

from nnc.data.sets import NAMES, Dataset, Split, as_input, load, split_validation, where

__all__ = ["NAMES", "Dataset", "Split", "as_input", "load", "split_validation", "where"]
