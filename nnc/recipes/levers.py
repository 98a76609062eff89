"""What each setting of soft weight-sharing buys: LeNet-300-100, one change at a time.

Every trial differs from the first in one respect. All are short, of one seed, and scored on
validation images: a table of directions, not of results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, nn

from nnc.models import LeNet300100
from nnc.priors import Beta, HyperPriors
from nnc.quantised import Quantised
from nnc.recipes.clustering import cluster, cluster_and_settle
from nnc.recipes.digits import Shared, begin
from nnc.recipes.job import Recipe
from nnc.recipes.stages import Experiment, Stages
from nnc.training import History


@dataclass(frozen=True)
class Levers(Shared):
    """Settings that no recorded recipe has."""

    cluster_epochs: int = 12  # of each round
    frozen_epochs: int = 4
    settle_epochs: int = 0
    rounds: int = 1  # of clustering and assigning, each with a new mixture
    biases: bool = False  # whether they stand under the prior too
    scale_per_layer: bool = False
    beta: tuple[float, float] = (0.0, 0.0)  # of a Beta prior on a learnt pi_0; (0, 0) for none

    def hyper_priors(self) -> HyperPriors:
        """With a Beta prior on the zero component's share where one is asked for."""
        plain = super().hyper_priors()
        return replace(plain, pi_0=Beta(*self.beta)) if self.beta[0] else plain

    def learns_scales(self) -> bool:
        """Whether each layer has a scale of its own."""
        return self.scale_per_layer

    def penalised(self, model: nn.Module) -> list[Tensor]:
        """The weights that can be pruned, or all parameters."""
        return list(model.parameters()) if self.biases else super().penalised(model)


def cluster_in_rounds(stages: Stages, model: nn.Module) -> tuple[Quantised, dict[str, History]]:
    """Cluster and assign, as often as asked for, each round from where the one before ended."""
    first = cluster_and_settle if stages.settings.settle_epochs else cluster
    assigned, history = first(stages, model)
    for number in range(2, stages.settings.rounds + 1):
        assigned, another = cluster(stages, assigned.load_into(model), f"cluster_{number}")
        history |= another
    return assigned, history


_FLAT = {"zero_shape": 1.0, "zero_rate": 1e-9, "other_shape": 1.0, "other_rate": 1e-9}
LEVERS: dict[str, dict[str, Any]] = {
    "as recorded": {},
    "full weight from the first step": {"ramp": 1e-9},
    "no easing at the end": {"relief": 1.0},
    "tau four times larger": {"tau": 4 * Shared.tau},
    "tau four times smaller": {"tau": Shared.tau / 4},
    "pi_0 = 0.99": {"pi_0": 0.99},
    "pi_0 learnt under a Beta prior": {"beta": (5000.0, 2.0)},
    "a scale per layer": {"scale_per_layer": True},
    "assigned by likelihood": {"assign_by": "likelihood"},
    "nothing merged": {"merge_threshold": 0.0},
    "no hyper-priors": _FLAT,
    "4 components": {"components": 4},
    "means over twice the range": {"mean_range": 2 * Shared.mean_range},
    "a mixture slower by a third": {"mixture_learning_rate": 2e-3},
    "a mixture three times faster": {"mixture_learning_rate": 9e-3},
    "a zero component that stays wide": {"zero_rate": 20.0},
    "biases under the prior too": {"biases": True},
    "pruned, then settled": {"settle_epochs": 4, "cluster_epochs": Levers.cluster_epochs - 4},
    "two rounds of half the epochs": {"rounds": 2, "cluster_epochs": Levers.cluster_epochs // 2},
}


def suggest(trial: Any) -> Levers:
    """One lever, by name."""
    return replace(Levers(), **LEVERS[trial.suggest_categorical("lever", list(LEVERS))])


RECIPE = Recipe(
    name="lenet300-levers",
    summary="soft weight-sharing of LeNet-300-100, one setting changed at a time (a search)",
    dataset="mnist",
    model=LeNet300100,
    settings=Levers(),
    run=Experiment("lenet300-levers", partial(begin, build=LeNet300100), cluster_in_rounds),
    suggest=suggest,
    first=tuple({"lever": name} for name in LEVERS),
)
