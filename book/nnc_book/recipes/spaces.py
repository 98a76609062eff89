"""What searches of the LeNets' settings cover, and where they begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Chosen = TypeVar("Chosen")

# Of a search: enough for a ranking of settings.
SHORT: dict[str, Any] = {"cluster_epochs": 15, "frozen_epochs": 5}
SHORT_PRUNED: dict[str, Any] = {"prune_epochs": 15, "frozen_epochs": 5}
_AROUND = {"ramp": 0.25, "relief": 0.2, "zero_rate": 2.0, "mixture_learning_rate": 3e-3}
FIRST_SHARED = tuple({"tau": tau, **_AROUND} for tau in (0.05, 0.1))
FIRST_TAUGHT = tuple({"tau": tau, **_AROUND} for tau in (0.2, 0.7, 1.7))
_AROUND_PRUNED = {"prune_ramp": 0.7, "prune_learning_rate": 1e-3, "frozen_learning_rate": 1e-3}
FIRST_PRUNED = tuple(
    {"target_sparsity": sparsity, "levels": 16, **_AROUND_PRUNED} for sparsity in (0.97, 0.98)
)


def shared(trial: Any, kind: Callable[..., Chosen], **fixed: Any) -> Chosen:
    """The space of soft weight-sharing: what decides between size and accuracy."""
    return kind(
        tau=trial.suggest_float("tau", 0.01, 3.0, log=True),
        ramp=trial.suggest_float("ramp", 0.1, 0.7),
        relief=trial.suggest_float("relief", 0.03, 1.0, log=True),
        zero_rate=trial.suggest_float("zero_rate", 0.5, 8.0, log=True),
        mixture_learning_rate=trial.suggest_float("mixture_learning_rate", 1e-3, 1e-2, log=True),
        **fixed,
    )


def pruned(trial: Any, kind: Callable[..., Chosen], **fixed: Any) -> Chosen:
    """The space of magnitude pruning: the same number of choices."""
    return kind(
        target_sparsity=trial.suggest_float("target_sparsity", 0.94, 0.99),
        prune_ramp=trial.suggest_float("prune_ramp", 0.3, 0.9),
        prune_learning_rate=trial.suggest_float("prune_learning_rate", 3e-4, 3e-3, log=True),
        frozen_learning_rate=trial.suggest_float("frozen_learning_rate", 3e-4, 3e-3, log=True),
        levels=trial.suggest_categorical("levels", (8, 16, 32)),
        **fixed,
    )


def front_score(metrics: dict[str, float]) -> float:
    """Validation accuracy, less half a point for every 1,000 bytes of the file."""
    return metrics["validation_accuracy"] - 0.005 * metrics["file_bytes"] / 1000
