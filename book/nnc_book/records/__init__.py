"""Recorded runs: reading them, promoting new ones, and checking that they are what they say.

A record is ``<recipe>.json`` with the keys

``recipe``
    name of the recipe
``settings``
    every setting of the runs
``dataset``
    ``name``, ``fingerprint`` (SHA-256 over pixels and labels), and the number of images used to
    ``train``, for ``validation`` and to ``test``
``environment``
    versions, device, number of threads, commit
``runs``
    per seed: ``seed``; ``metrics`` (accuracies and sparsity as fractions, sizes in bytes);
    ``history`` (per stage a row per epoch); ``file`` (the stored network, relative to this folder,
    or null where it is too large) and its ``sha256``; ``extras`` (other files, of seed 0 alone);
    ``seconds``

Beside it, ``<recipe>/`` holds the files, and ``<recipe>.trials.json`` the trials of its search.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from nnc import storage
from nnc.files import atomic_write
from nnc.hints import did_you_mean
from nnc.pruning import Quantised
from nnc_book.arrays import read_arrays

FOLDER = Path(str(files("nnc_book.records")))
RESULT = "result.json"  # what a run leaves in its folder
TRIAL = "trial.json"  # the same of a trial, scored on validation images
_SHARED = ("recipe", "settings", "dataset")


def names() -> list[str]:
    """The recipes that have a record."""
    return sorted(p.stem for p in FOLDER.glob("*.json") if not p.name.endswith(".trials.json"))


def read(recipe: str) -> dict[str, Any]:
    """The record of a recipe, as its JSON.

    Raises:
        ValueError: there is none; the nearest name is suggested.
    """
    if recipe not in names():
        hint = did_you_mean(recipe, names())
        raise ValueError(f"no record of {recipe!r}, there are {', '.join(names()) or 'none'}{hint}")
    return json.loads((FOLDER / f"{recipe}.json").read_text())


def values(recipe: str, metric: str) -> list[float]:
    """One metric of every run, by seed.

    Raises:
        ValueError: the record has no such metric.
    """
    runs = read(recipe)["runs"]
    if metric not in runs[0]["metrics"]:
        raise ValueError(f"metric is {metric!r}, must be one of {', '.join(runs[0]['metrics'])}")
    return [run["metrics"][metric] for run in runs]


def mean(recipe: str, metric: str) -> float:
    """The mean of a metric over all runs of a record."""
    return statistics.fmean(values(recipe, metric))


def network(recipe: str, seed: int = 0) -> Quantised:
    """The stored network of one run."""
    return storage.load(FOLDER / _run(recipe, seed)["file"])


def arrays(recipe: str, name: str, seed: int = 0) -> dict[str, np.ndarray]:
    """An extra file of a run, such as ``"film"``: array name → array."""
    extras = {Path(path).stem: path for path in _run(recipe, seed)["extras"]}
    if name not in extras:
        raise ValueError(
            f"name is {name!r}, run {seed} of {recipe} has {', '.join(extras) or 'none'}"
        )
    return read_arrays(FOLDER / extras[name])


def training_answers(recipe: str, fingerprint: str) -> np.ndarray:
    """A recorded teacher's logits on the training images of its data set, for students to use.

    Args:
        recipe: whose teacher, ``"mnist-kd"``.
        fingerprint: of the data set at hand, :attr:`nnc.data.Dataset.fingerprint`.

    Returns:
        float16, images × classes, in the order of the data set's training split.

    Raises:
        ValueError: the record has no such answers, or they are to other images.
    """
    described = read(recipe)["dataset"]
    if fingerprint != described["fingerprint"]:
        raise ValueError(
            f"fingerprint is {fingerprint[:12]}…, the answers of {recipe} are to the images of "
            f"{described['fingerprint'][:12]}… ({described['name']}); load that data set"
        )
    return arrays(recipe, "training_answers")["logits"]


def trials(recipe: str) -> list[dict[str, Any]]:
    """The finished trials of a recipe's search, scored on validation images."""
    return json.loads((FOLDER / f"{recipe}.trials.json").read_text())["trials"]


def add(results: Iterable[Path]) -> str:
    """Promote finished runs of one recipe to its record, replacing runs of the same seeds.

    Runs already recorded with other settings or data are dropped: a record is of one experiment.

    Args:
        results: folders that ``nnc-book run`` wrote.

    Returns:
        The recipe's name.

    Raises:
        ValueError: no or unfinished runs, or runs that differ in settings or data.
    """
    loaded = [(Path(folder), _read_result(Path(folder))) for folder in results]
    if not loaded:
        raise ValueError("no run given, needs at least one folder that nnc-book run wrote")
    first = loaded[0][1]
    for folder, result in loaded:
        different = [key for key in _SHARED if result[key] != first[key]]
        if different:
            raise ValueError(f"{folder} differs from {loaded[0][0]} in {', '.join(different)}")
    recipe: str = first["recipe"]
    runs = _kept_runs(recipe, first)
    for folder, result in loaded:
        runs[result["run"]["seed"]] = _copy_files(recipe, folder, result["run"])
    record = {key: first[key] for key in (*_SHARED, "environment")}
    record["runs"] = [runs[seed] for seed in sorted(runs)]
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    atomic_write(FOLDER / f"{recipe}.json", text.encode())
    return recipe


def add_trials(folder: Path) -> tuple[str, int]:
    """Keep the trials of a search: the settings in which they differ, and what each reached.

    Args:
        folder: that ``nnc-book search`` wrote.

    Returns:
        The recipe's name, and the number of trials.

    Raises:
        ValueError: the folder has no finished trial.
    """
    files = sorted(folder.glob(f"*/{TRIAL}"))
    if not files:
        raise ValueError(f"{folder} has no finished trial, must be what nnc-book search wrote")
    found = [json.loads(file.read_text()) for file in files]
    first = found[0]
    for file, trial in zip(files, found, strict=True):
        if any(trial[key] != first[key] for key in ("recipe", "dataset")):
            raise ValueError(f"{file} is of another recipe or data set than {files[0]}; move it")
    differ = [
        key
        for key, value in first["settings"].items()
        if any(trial["settings"][key] != value for trial in found)
    ]
    described = {key: first["dataset"][key] for key in ("name", "fingerprint")}
    table = {"recipe": first["recipe"], "dataset": described, "scored_on": "validation"}
    table["seed"] = first["run"]["seed"]
    table["trials"] = [
        {
            "number": number,
            "params": {key: trial["settings"][key] for key in differ},
            "metrics": trial["run"]["metrics"],
        }
        for number, trial in enumerate(found)
    ]
    text = json.dumps(table, indent=1, sort_keys=True) + "\n"
    atomic_write(FOLDER / f"{first['recipe']}.trials.json", text.encode())
    return first["recipe"], len(found)


def verify(recipe: str) -> list[str]:
    """Everything in a record that can be checked without a data set.

    The stored files' SHA-256, and what follows from a decoded network: sparsity, bytes, ratio.

    Returns:
        What is wrong, a line each; empty where all is right.
    """
    wrong = []
    for run in read(recipe)["runs"]:
        where = f"{recipe}, seed {run['seed']}"
        if run["file"] is None:
            continue
        if fault := file_fault(run):
            wrong.append(f"{where}: {fault}")
            continue
        path = FOLDER / run["file"]
        quantised, size = storage.load(path), path.stat().st_size
        found = {
            "sparsity": quantised.sparsity(),
            "file_bytes": size,
            "compression_ratio": quantised.compression_ratio(size),
        }
        wrong += [
            f"{where}: {key} is recorded as {run['metrics'][key]}, the file has {value}"
            for key, value in found.items()
            if key in run["metrics"] and abs(run["metrics"][key] - value) > 1e-9 * abs(value)
        ]
    return wrong


def file_fault(run: dict[str, Any]) -> str:
    """What is wrong with the stored file of a run that has one; empty where it is the recorded one.

    Args:
        run: an entry of a record's ``runs`` whose ``file`` is not null.
    """
    path = FOLDER / run["file"]
    if not path.is_file():
        return f"{run['file']} is missing"
    if sha256(path) != run["sha256"]:
        return f"{run['file']} is not the file that was recorded (SHA-256)"
    return ""


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(recipe: str, seed: int) -> dict[str, Any]:
    runs = {run["seed"]: run for run in read(recipe)["runs"]}
    if seed not in runs:
        raise ValueError(f"seed is {seed}, {recipe} has runs of {', '.join(map(str, runs))}")
    return runs[seed]


def _read_result(folder: Path) -> dict[str, Any]:
    if not (folder / RESULT).is_file():
        raise ValueError(f"{folder} has no {RESULT}: the run is not finished, run it again")
    return json.loads((folder / RESULT).read_text())


def _kept_runs(recipe: str, result: dict[str, Any]) -> dict[int, dict[str, Any]]:
    if recipe not in names():
        return {}
    record = read(recipe)
    if any(record[key] != result[key] for key in _SHARED):
        return {}
    return {run["seed"]: run for run in record["runs"]}


def _copy_files(recipe: str, folder: Path, run: dict[str, Any]) -> dict[str, Any]:
    """Copy a run's files under names that carry the seed; only seed 0 keeps its extras."""
    target = FOLDER / recipe
    copied = dict(run, extras=[])
    target.mkdir(exist_ok=True)
    if run["file"] is not None:
        source = folder / run["file"]
        copied["file"] = f"{recipe}/seed-{run['seed']}{source.suffix}"
        shutil.copyfile(source, FOLDER / copied["file"])
    if run["seed"] == 0:
        for extra in run["extras"]:
            shutil.copyfile(folder / extra, target / extra)
            copied["extras"].append(f"{recipe}/{extra}")
    return copied
