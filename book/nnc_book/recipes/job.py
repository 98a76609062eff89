"""What a recipe is given and what it gives back."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nnc.data import Dataset, Split, split_validation


@dataclass(frozen=True)
class Job:
    """One run of a recipe.

    Args:
        data: the data set.
        seed: of initial weights, order and validation split.
        folder: where checkpoints and results go; git ignores the default one.
        searching: score on the validation split and leave the test set alone.
        progress: whether to draw progress bars.
        runs: the folder of all runs, in which teachers and dense networks are found and kept.
    """

    data: Dataset
    seed: int
    folder: Path
    searching: bool = False
    progress: bool = True
    runs: Path = Path("runs")

    def of(self, recipe: str, seed: int) -> Job:
        """The job of another recipe on the same data, in the folder ``nnc-book run`` gives it."""
        folder = self.runs / recipe / self.data.name / f"seed-{seed}"
        return dataclasses.replace(self, seed=seed, folder=folder)

    def split(self, count: int) -> tuple[Split, Split]:
        """Training images, and ``count`` set aside for validation: the same for every seed."""
        return split_validation(self.data.train, count, seed=0)

    def scored(self, validation: Split) -> tuple[str, Split]:
        """What a run is scored on, by name: the test set, or in a search the validation split."""
        return ("validation", validation) if self.searching else ("test", self.data.test)

    def sizes(self, training: Split, validation: Split) -> dict[str, int]:
        """Number of images by use, as a record has them."""
        return {"train": len(training), "validation": len(validation), "test": len(self.data.test)}


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Args:
        metrics: final figures; accuracies and sparsity as fractions, sizes in bytes.
        history: per stage, one row per epoch.
        sizes: number of images by use: train, validation, test.
        network: the network's file, inside the job's folder.
        extras: other files inside the job's folder that belong to a record (seed 0 alone).
        stored: whether a record keeps the network, or its SHA-256 alone because of its size.
    """

    metrics: dict[str, float]
    history: dict[str, list[dict[str, float]]]
    sizes: dict[str, int]
    network: Path
    extras: tuple[Path, ...] = ()
    stored: bool = True


def validation_accuracy(metrics: dict[str, float]) -> float:
    """What a search maximises unless the recipe says otherwise."""
    return metrics["validation_accuracy"]


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
        suggest: an Optuna trial in, settings out: the space that a search covers; None where
            there is nothing to search.
        score: metrics of a searching run in, the number that the search maximises out.
        first: parameters of the trials that a search begins with.
    """

    name: str
    summary: str
    dataset: str
    model: Callable[[], nn.Module]
    settings: Any
    run: Callable[[Any, Job], Outcome]
    suggest: Callable[[Any], Any] | None = None
    score: Callable[[dict[str, float]], float] = validation_accuracy
    first: Sequence[Mapping[str, Any]] = ()


def mark(settings: Any, prefixes: tuple[str, ...] = ("",), without: tuple[str, ...] = ()) -> str:
    """Twelve hexadecimal digits that stand for some of the settings, chosen by their names."""
    used = {
        key: value
        for key, value in dataclasses.asdict(settings).items()
        if key.startswith(prefixes) and not (without and key.startswith(without))
    }
    return hashlib.sha256(repr(used).encode()).hexdigest()[:12]


def digest(settings: Any, prefixes: tuple[str, ...] = ("",), without: tuple[str, ...] = ()) -> str:
    """Names the settings that a stage depends on, so that other checkpoints are refused."""
    return f"settings {mark(settings, prefixes, without)}"
