"""What each setting of soft weight-sharing buys: LeNet-300-100, one change at a time.

Every trial differs from the first in one respect. All are short, of one seed, and scored on
validation images: a table of directions, not of results.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from nnc.models import LeNet300100
from nnc.priors import Beta, HyperPriors
from nnc_book.recipes.digits import Settled, Shared, run
from nnc_book.recipes.job import Recipe


@dataclass(frozen=True)
class Levers(Settled):
    """Two settings more than the recorded recipes have; codebooks only where asked for."""

    cluster_epochs: int = 12
    frozen_epochs: int = 4
    scale_per_layer: bool = False
    beta: tuple[float, float] = (0.0, 0.0)  # of a Beta prior on a learnt pi_0; (0, 0) for none
    settle_epochs: int = 0
    levels: int = 0  # 0 for the mixture's values

    def hyper_priors(self) -> HyperPriors:
        """With a Beta prior on the zero component's share where one is asked for."""
        plain = super().hyper_priors()
        return replace(plain, pi_0=Beta(*self.beta)) if self.beta[0] else plain

    def learns_scales(self) -> bool:
        """Whether each layer has a scale of its own."""
        return self.scale_per_layer


_FLAT = {"zero_shape": 1.0, "zero_rate": 1e-9, "other_shape": 1.0, "other_rate": 1e-9}
_SLOWER = {"mixture_learning_rate": Shared.mixture_learning_rate / 3}
_SETTLED = {"levels": 8, "settle_epochs": 3}
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
    "a slower mixture": _SLOWER,
    "a codebook per layer": {"levels": 8},
    "settled": _SETTLED,
    "settled after a slower mixture": _SLOWER | _SETTLED,
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
    run=partial(run, build=LeNet300100),
    suggest=suggest,
    first=tuple({"lever": name} for name in LEVERS),
)
