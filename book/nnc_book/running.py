"""Running a recipe from its settings to a result file, and its trials."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from nnc.data import Dataset
from nnc.files import atomic_write
from nnc_book import records
from nnc_book.recipes.job import Job, Recipe, Settings

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of each period, and the period
SEED = 1000  # of every trial: no recorded run uses it


def run(
    recipe: Recipe, settings: Settings, dataset: Dataset, seed: int, folder: Path,
    searching: bool = False, progress: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Run a recipe and write its result into a folder; a finished run is not run again.

    Args:
        recipe, settings, dataset: what to run, how, and on what.
        seed: of initial weights and order.
        folder: for checkpoints and results; a run that was stopped goes on there.
        searching: score on validation images and leave the test set alone: a trial.
        progress: whether to draw progress bars.

    Returns:
        The result: the record's keys, with ``run`` for this one.

    Raises:
        ValueError: the folder has the result of another run.
    """
    outcome = folder / (records.TRIAL if searching else records.RESULT)
    described: dict[str, Any] = {
        "recipe": recipe.name,
        # As JSON has them, so that they can be compared with a finished run's.
        "settings": json.loads(json.dumps(settings)),
        "dataset": {"name": dataset.name, "fingerprint": dataset.fingerprint},
    }
    if outcome.exists():
        return _finished(outcome, described, seed)
    # More threads than cores make each other wait: ten times slower, on the machine of the records.
    torch.set_num_threads(min(torch.get_num_threads(), cores()))
    began = time.perf_counter()
    found = recipe.run(Job(recipe.build, settings, dataset, seed, folder, searching, progress))
    seconds = sum(row["seconds"] for rows in found["history"].values() for row in rows)
    result = described | {
        "dataset": described["dataset"] | found.pop("images"),
        "environment": environment(),
        # A resumed run's epochs carry their own times.
        "run": {
            "seed": seed,
            **found,
            "seconds": round(max(seconds, time.perf_counter() - began), 1),
        },
    }
    atomic_write(outcome, (json.dumps(result, indent=1) + "\n").encode())
    return result


def search(recipe: Recipe, dataset: Dataset, folder: Path, progress: bool = True) -> None:
    """Run a recipe's trials, each in a folder of its own, and print what they reach.

    Trials see training images alone and are scored on the validation split. A search that was
    stopped goes on where it was.

    Raises:
        ValueError: the recipe has no trials.
    """
    if not recipe.trials:
        raise ValueError(f"recipe is {recipe.name!r}, which has no trials; give it some to compare")
    for number, changes in enumerate(recipe.trials):
        where = folder / f"trial-{number:02}"
        try:
            result = run(recipe, recipe.settings | changes, dataset, SEED, where, True, progress)
        except (ValueError, FloatingPointError) as error:
            # Settings that empty the network or make it diverge are a finding, not a failure.
            print(f"trial {number}: {changes}: {error}", flush=True)
            continue
        metrics = result["run"]["metrics"]
        shown = [key for key in ("validation_accuracy", "sparsity", "file_bytes") if key in metrics]
        reached = ", ".join(f"{key} {metrics[key]:.6g}" for key in shown)
        print(f"trial {number}: {changes}: {reached}", flush=True)


def cores() -> int:
    """Processors that this process may use: by its affinity, and by a container's quota."""
    affinity = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    count = len(affinity) or os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max" for no quota
        quota, period = QUOTA.read_text().split()
        count = min(count, max(1, int(quota) // int(period)))
    return count


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
