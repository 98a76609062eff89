"""A training loop that resumes exactly, and what a student needs beside it."""

from nnc.training.checkpoints import History
from nnc.training.loop import Batch, cross_entropy, evaluate, fit, predict
from nnc.training.teaching import Distillation

__all__ = [
    "Batch", "Distillation", "History", "cross_entropy", "evaluate", "fit", "predict",
]  # fmt: skip
