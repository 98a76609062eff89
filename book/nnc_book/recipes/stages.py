"""The way from a trained network to a small file, whatever makes its weights few.

``Experiment`` goes it: a recipe brings the trained network and the way of shrinking it (clustering
or magnitude pruning); training on with the assignment frozen, the file and the scores are the
same for all, so that records can be compared.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnc import storage
from nnc.data import as_input
from nnc.pruning import Quantised, code_rest, fold_batch_norm, fold_empty_units, freeze, unfreeze
from nnc.storage import Precision
from nnc.training import History, evaluate, fit
from nnc_book.recipes.film import Film
from nnc_book.recipes.job import Job, Outcome, digest
from nnc_book.recipes.schedules import linear_cooling
from nnc_book.recipes.task import Task

STORING = ("rest", "precision")  # settings that no training depends on


@dataclass(frozen=True)
class Settings:
    """What all recipes that end in a small file choose."""

    validation: int = 5000  # training images set aside
    batch_size: int = 128
    frozen_epochs: int = 15
    frozen_learning_rate: float = 1e-3
    rest_levels: int = 16  # entries of the codebook of biases and of batch norm's numbers
    precision: Precision = "float16"  # of codebooks and of numbers that are not coded


class Stages:
    """What the stages of one run share: settings, job, task, and how each is trained."""

    def __init__(
        self, settings: Any, job: Job, task: Task, run: str, film: Film | None = None
    ) -> None:
        self.settings, self.job, self.task, self._run = settings, job, task, run
        self.film = film

    def steps(self, epochs: int) -> int:
        """Number of optimiser steps in so many epochs."""
        return epochs * (len(self.task.training) // self.settings.batch_size)

    def fit(self, name: str, model: nn.Module, *, key: str, **arguments: Any) -> History:
        """Train on the task, resuming from ``<name>.checkpoint``."""
        job, task = self.job, self.task
        return fit(
            model,
            task.training,
            task.loss,
            batch_size=self.settings.batch_size,
            validation=task.validation,
            views=task.views,
            seed=job.seed,
            checkpoint=job.folder / f"{name}.checkpoint",
            run=f"{self._run} {name} on {job.data.fingerprint[:12]}, {key}",
            progress=job.progress,
            **arguments,
        )

    def train_frozen(self, assigned: Quantised, name: str = "frozen") -> tuple[Quantised, History]:
        """Step 3, second half: train the values, with which weights share one fixed."""
        settings = self.settings
        model = freeze(self.task.build(), assigned)
        optimiser = torch.optim.Adam(
            model.parameters(), lr=settings.frozen_learning_rate, fused=True
        )
        cool = linear_cooling(self.steps(settings.frozen_epochs), over=1.0)
        history = self.fit(
            name,
            model,
            optimiser=optimiser,
            scheduler=torch.optim.lr_scheduler.LambdaLR(optimiser, cool),
            epochs=settings.frozen_epochs,
            key=digest(settings, without=STORING),
        )
        return unfreeze(model), history


Shrink = Callable[[Stages, nn.Module], tuple[Quantised, dict[str, History]]]


@dataclass(frozen=True)
class Experiment:
    """A recipe's run from a trained network to its file and its scores.

    Args:
        name: the recipe's, part of what checkpoints belong to.
        begin: from settings and job to the task, the trained network (which will be changed) and
            the history of its training by stage.
        shrink: from the trained network to codes and codebooks, with the history by stage.
        filmed: whether frames of the weights are kept.
    """

    name: str
    begin: Callable[[Any, Job], tuple[Task, nn.Module, dict[str, History]]]
    shrink: Shrink
    filmed: bool = False

    def __call__(self, settings: Any, job: Job) -> Outcome:
        """Shrink the network, train on, store it, read it back and score it."""
        task, model, history = self.begin(settings, job)
        film = Film(job.folder / "frames") if self.filmed else None
        stages = Stages(settings, job, task, self.name, film)
        dense = copy.deepcopy(model)
        assigned, shrinking = self.shrink(stages, model)
        trained, frozen = stages.train_frozen(assigned)
        network = job.folder / "network.sws"
        stored = store_and_score(stages, trained, network)
        _, scored = job.scored(task.validation)
        metrics = {
            "dense_accuracy": evaluate(dense, scored),
            "assigned_accuracy": evaluate(task.rebuilt(assigned), scored),
            **stored,
        }
        history = history | shrinking | {"frozen": frozen}
        frames = film.save(job.folder / "film.npz") if film else ()
        sizes = job.sizes(task.training, task.validation)
        return Outcome(metrics, history, sizes, network, frames)


def store_and_score(stages: Stages, trained: Quantised, path: Path) -> dict[str, float]:
    """Make a network ready for its file, write it, read it back, and say what a record says of it.

    Returns:
        ``<kind>_accuracy``, ``sparsity``, ``file_bytes``, ``compression_ratio``, ``levels``.
    """
    task, settings = stages.task, stages.settings
    final = compact(trained, task, settings.rest_levels)
    storage.save(final, path, precision=settings.precision)
    kind, scored = stages.job.scored(task.validation)
    file_bytes = path.stat().st_size
    return {
        f"{kind}_accuracy": evaluate(storage.load(path).load_into(task.build()), scored),
        "sparsity": final.sparsity(),
        "file_bytes": file_bytes,
        "compression_ratio": final.compression_ratio(file_bytes),
        "levels": max(len(codebook) for codebook in final.codebooks.values()),
    }


def compact(trained: Quantised, task: Task, levels: int) -> Quantised:
    """The same network with idle units emptied and everything else coded, ready for the file."""
    model = fold_batch_norm(trained.load_into(task.build()))
    emptied = fold_empty_units(model, as_input(task.validation.images[:64])).state_dict()
    return code_rest(Quantised.from_state_dict(emptied, trained.codes), levels)
