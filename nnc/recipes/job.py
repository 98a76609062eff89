"""What a recipe is given and what it gives back."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from nnc.data import Dataset


@dataclass(frozen=True)
class Job:
    """One run of a recipe.

    Args:
        data: the data set.
        seed: of initial weights, order and validation split.
        folder: where checkpoints and results go; git ignores the default one.
        searching: score on the validation split and leave the test set alone.
        progress: whether to draw progress bars.
        dense: a file that keeps the outcome of step 1 for other runs of the same data, seed and
            settings of step 1, or None.
    """

    data: Dataset
    seed: int
    folder: Path
    searching: bool = False
    progress: bool = True
    dense: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Args:
        metrics: final figures; accuracies and sparsity as fractions, sizes in bytes.
        history: per stage, one row per epoch.
        sizes: number of images by use: train, validation, test.
        network: the stored network's file, inside the job's folder.
        extras: other files inside the job's folder that belong to a record (seed 0 alone).
    """

    metrics: dict[str, float]
    history: dict[str, list[dict[str, float]]]
    sizes: dict[str, int]
    network: Path
    extras: tuple[Path, ...] = field(default=())


@dataclass(frozen=True)
class Recipe:
    """A recorded experiment.

    Args:
        name: as on the command line.
        summary: one line.
        dataset: the default data set.
        model: builds the architecture that a stored network is loaded into.
        settings: a frozen dataclass, the values that the record was made with.
        run: settings and job in, outcome out; resumes in the job's folder.
        suggest: an Optuna trial in, settings out: the space that a search covers.
        score: metrics of a searching run in, the number that the search maximises out.
    """

    name: str
    summary: str
    dataset: str
    model: Callable[[], nn.Module]
    settings: Any
    run: Callable[[Any, Job], Outcome]
    suggest: Callable[[Any], Any]
    score: Callable[[dict[str, float]], float]


def digest(settings: Any, prefixes: tuple[str, ...] = ("",), without: tuple[str, ...] = ()) -> str:
    """Names the settings that a stage depends on, so that other checkpoints are refused."""
    used = {
        key: value
        for key, value in dataclasses.asdict(settings).items()
        if key.startswith(prefixes) and not (without and key.startswith(without))
    }
    return "settings " + hashlib.sha256(repr(used).encode()).hexdigest()[:12]
