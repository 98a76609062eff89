"""What a recipe is given, and the form in which it gives back what it found."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from nnc.data import Dataset, Split, split_validation
from nnc.training import History
from nnc_book import records

Settings = dict[str, Any]
Lesson = dict[str, Any]  # what a network learns, by the names of nnc.fit's arguments
Result = dict[str, Any]  # of a run, by the names that a record uses, and ``images``
Metrics = dict[str, float]  # accuracies and sparsity as fractions, sizes in bytes
Histories = dict[str, History]
Options = dict[str, Any]  # of an optimiser's group or of nnc.fit


@dataclass(frozen=True)
class Job:
    """One run of a recipe.

    Args:
        build: makes the network, untrained.
        settings: every choice of the recipe, by name.
        data: the data set.
        seed: of initial weights and order.
        folder: where checkpoints and results go.
        searching: score on the validation split and leave the test set alone.
        progress: whether to draw progress bars.
        runs: the folder of all runs, in which teachers and dense networks are found and kept.
    """

    build: Callable[[], nn.Module]
    settings: Settings
    data: Dataset
    seed: int
    folder: Path
    searching: bool = False
    progress: bool = True
    runs: Path = Path("runs")

    def lesson(self) -> Lesson:
        """Training images, and those set aside for validation: the same for every seed."""
        train, validation = split_validation(self.data.train, self.settings["validation"], seed=0)
        size = self.settings["batch_size"]
        return {"train": train, "validation": validation, "batch_size": size}

    def beside(
        self, name: str, build: Callable[[], nn.Module], settings: Settings, seed: int
    ) -> Job:
        """The job of another recipe on the same data, in the folder ``nnc-book run`` gives it."""
        folder = self.runs / name / self.data.name / f"seed-{seed}"
        return dataclasses.replace(self, build=build, settings=settings, seed=seed, folder=folder)

    def resuming(self, stage: str) -> Options:
        """Arguments of ``nnc.fit`` with which a stage that was stopped goes on."""
        return {
            "seed": self.seed,
            "checkpoint": self.folder / f"{stage}.checkpoint",
            "run": f"{stage} on {self.data.fingerprint[:12]}, settings {mark(self.settings)}",
            "progress": self.progress,
        }

    @property
    def kind(self) -> str:
        """What a run is scored on, as metrics are named: test, or in a search validation."""
        return "validation" if self.searching else "test"

    def scored(self, lesson: Lesson) -> Split:
        """The images that a run is scored on."""
        return lesson["validation"] if self.searching else self.data.test

    def result(
        self, lesson: Lesson, metrics: Metrics, history: Histories, network: Path, *extras: Path,
        stored: bool = True,
    ) -> Result:  # fmt: skip
        """What a run came to; its files lie in the job's folder.

        A network that is too large to be stored is known by its SHA-256 alone.
        """
        images = {use: len(lesson[use]) for use in ("train", "validation")}
        return {
            "images": images | {"test": len(self.data.test)},
            "metrics": metrics,
            "history": {stage: [_rounded(row) for row in rows] for stage, rows in history.items()},
            "file": network.name if stored else None,
            "sha256": records.sha256(network),
            "extras": [path.name for path in extras],
        }


@dataclass(frozen=True)
class Recipe:
    """A recorded experiment.

    Args:
        name, summary: as ``nnc-book run --list`` shows them.
        dataset: the default data set.
        build: makes the network, untrained; a stored one is loaded into it.
        settings: the values that the record was made with.
        run: does it; resumes in the job's folder.
        trials: changes of the settings that a search compares.
    """

    name: str
    summary: str
    dataset: str
    build: Callable[[], nn.Module]
    settings: Settings
    run: Callable[[Job], Result]
    trials: tuple[Settings, ...] = ()


def mark(settings: Settings) -> str:
    """Twelve hexadecimal digits that stand for settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _rounded(row: dict[str, float]) -> dict[str, float]:
    return {key: float(f"{value:.6g}") for key, value in row.items()}
