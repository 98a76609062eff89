"""Running a recipe from its settings to a result file, and checking a record against its data."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from nnc import data
from nnc.data import Dataset
from nnc.files import atomic_write
from nnc.training import evaluate
from nnc_book import records
from nnc_book.recipes import get
from nnc_book.recipes.job import Job, Recipe


def run(
    recipe: Recipe, settings: Any, dataset: Dataset, seed: int, folder: Path, progress: bool = True
) -> dict[str, Any]:
    """Run a recipe and write ``result.json`` into its folder; a finished run is not run again.

    Args:
        recipe: which.
        settings: its settings.
        dataset: the data.
        seed: of initial weights and order.
        folder: for checkpoints and results; a run that was stopped goes on there.
        progress: whether to draw progress bars.

    Returns:
        The result: the record's keys, with ``run`` for this one.

    Raises:
        ValueError: the folder has the result of another run.
    """
    outcome_file = folder / records.RESULT
    described: dict[str, Any] = {
        "recipe": recipe.name,
        # As JSON has them, so that they can be compared with a finished run's.
        "settings": json.loads(json.dumps(dataclasses.asdict(settings))),
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
    }
    if outcome_file.exists():
        return _finished(outcome_file, described, seed)
    began = time.perf_counter()
    outcome = recipe.run(settings, Job(dataset, seed, folder, progress=progress))
    seconds = sum(row["seconds"] for rows in outcome.history.values() for row in rows)
    result = described | {
        "dataset": described["dataset"] | outcome.sizes,
        "environment": environment(),
        "run": {
            "seed": seed,
            "metrics": outcome.metrics,
            "history": _rounded(outcome.history),
            "file": outcome.network.name if outcome.stored else None,
            "sha256": records.sha256(outcome.network),
            "extras": [path.name for path in outcome.extras],
            # A resumed run's epochs carry their own times.
            "seconds": round(max(seconds, time.perf_counter() - began), 1),
        },
    }
    atomic_write(outcome_file, (json.dumps(result, indent=1) + "\n").encode())
    return result


def verify(recipe: str, root: Path | str | None = None) -> tuple[list[str], bool]:
    """Check a record: its files, and its test accuracies where the data set is there.

    Returns:
        What is wrong, a line each; and whether the data set was there.
    """
    wrong = records.verify(recipe)
    record = records.read(recipe)
    described = record["dataset"]
    try:
        dataset = data.load(described["name"], root, download=False)
    except FileNotFoundError:
        return wrong, False
    if dataset.fingerprint != described["fingerprint"]:
        return [f"{recipe}: {described['name']} here has other pixels than the record's"], True
    one_image = 1 / len(dataset.test)
    for one in record["runs"]:
        if one["file"] is None or records.file_fault(one):
            continue  # there is none, or records.verify has said what is wrong with it
        model = records.network(recipe, one["seed"]).load_into(get(recipe).model())
        # Channels innermost and few images at once: three times as fast on a processor.
        model.to(memory_format=torch.channels_last)
        accuracy = evaluate(model, dataset.test, batch_size=250)
        if abs(accuracy - one["metrics"]["test_accuracy"]) > 1.01 * one_image:
            wrong.append(
                f"{recipe}, seed {one['seed']}: test_accuracy is recorded as "
                f"{one['metrics']['test_accuracy']}, the stored network reaches {accuracy}"
            )
    return wrong, True


def environment() -> dict[str, Any]:
    """Where a run took place: versions, device, threads and commit; no machine's name."""
    versions = {name: importlib.metadata.version(name) for name in ("torch", "numpy", "accelerate")}
    return {
        "python": platform.python_version(),
        **versions,
        "system": f"{platform.system()} {platform.machine()}",
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    """The checkout's commit; None where the package was installed without one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _finished(outcome_file: Path, described: dict[str, Any], seed: int) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(outcome_file.read_text())
    same_data = described["dataset"].items() <= result["dataset"].items()
    same = all(result[key] == described[key] for key in ("recipe", "settings")) and same_data
    if not same or result["run"]["seed"] != seed:
        raise ValueError(
            f"{outcome_file} is the result of another run (recipe, settings, data or seed); "
            "choose another folder with --out"
        )
    print(f"{outcome_file} is finished already", file=sys.stderr)
    return result


def _rounded(history: dict[str, list[dict[str, float]]]) -> dict[str, list[dict[str, float]]]:
    return {
        stage: [{key: float(f"{value:.6g}") for key, value in row.items()} for row in rows]
        for stage, rows in history.items()
    }
