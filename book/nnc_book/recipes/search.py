"""Search over a recipe's settings: a study in a file that processes and machines can share."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from nnc.data import Dataset
from nnc.files import atomic_write
from nnc_book.recipes.job import Job, Recipe

SEED = 1000  # of every trial: no recorded run uses it


def search(
    recipe: Recipe,
    data: Dataset,
    study_file: Path,
    trials: int,
    hours: float,
    progress: bool = True,
) -> None:
    """Run trials until the study has ``trials`` finished ones or ``hours`` are over.

    A study may be worked on by several processes at once, and goes on where it was left. Trials
    see training images alone and are scored on the validation split.

    Args:
        recipe: whose settings to search.
        data: its data set.
        study_file: Optuna's journal; created where it is missing. Beside it goes a folder for
            the trials' networks.
        trials: number of finished trials at which to stop, over all processes.
        hours: of this call; a trial that has begun is finished.
        progress: whether to draw progress bars.
    """
    from optuna.trial import TrialState

    if recipe.suggest is None:
        raise ValueError(f"recipe is {recipe.name!r}, which has nothing to search")
    study = open_study(recipe, study_file)
    folder = study_file.with_suffix("")
    ends = time.monotonic() + 3600 * hours
    while len(_finished(study)) < trials and time.monotonic() < ends:
        trial = study.ask()
        settings = recipe.suggest(trial)
        job = Job(
            data,
            SEED,
            folder / f"trial-{trial.number}",
            searching=True,
            progress=progress,
        )
        try:
            metrics = recipe.run(settings, job).metrics
        except (ValueError, FloatingPointError) as error:
            # Settings that empty the network or make it diverge are a finding, not a failure.
            study.tell(trial, state=TrialState.FAIL)
            print(f"trial {trial.number}: {error}", flush=True)
            continue
        trial.set_user_attr("metrics", metrics)
        trial.set_user_attr("settings", dataclasses.asdict(settings))
        score = recipe.score(metrics)
        study.tell(trial, score)
        print(
            f"trial {trial.number}: score {score:.4f}, "
            f"validation accuracy {metrics['validation_accuracy']:.4f}, {trial.params}",
            flush=True,
        )


def open_study(recipe: Recipe, study_file: Path) -> Any:
    """The study in a file."""
    import optuna  # an extra: only searches need it
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study_file.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=recipe.name,
        storage=JournalStorage(JournalFileBackend(str(study_file))),
        direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(multivariate=True, constant_liar=True),
    )
    for parameters in recipe.first:
        study.enqueue_trial(dict(parameters), skip_if_exists=True)
    return study


def export(recipe: Recipe, data: Dataset, study_file: Path, target: Path) -> int:
    """Write the finished trials as data for a figure, and return their number."""
    trials = [
        {
            "number": t.number,
            "score": t.value,
            "params": t.params,
            "metrics": t.user_attrs["metrics"],
        }
        for t in _finished(open_study(recipe, study_file))
    ]
    table = {
        "recipe": recipe.name,
        "dataset": {"name": data.name, "fingerprint": data.fingerprint},
        "scored_on": "validation",
        "seed": SEED,
        "trials": trials,
    }
    atomic_write(target, (json.dumps(table, indent=1, sort_keys=True) + "\n").encode())
    return len(trials)


def _finished(study: Any) -> list[Any]:
    return [trial for trial in study.trials if trial.state.name == "COMPLETE"]
