"""Weight-sharing with one knob: how much accuracy may go, or how many bytes there are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from torch import nn

from nnc.hints import check
from nnc.pruning.quantised import Quantised, entropy
from nnc.pruning.shared_values import Phase, SharedValues
from nnc.weights import check_settable, plain_parameters, plain_state, prunable_weights

# Shares of the steps: first the price stays as it is, then codes are free, which tries many sets of
# weights; then weights at zero stay there unless the budget is missed for long, which picks the
# best of the sets; then all codes stay.
_WARM, _FREE, _SETTLING = 0.05, 0.4, 0.95
_CHECKS = 100  # how often the price of a bit is adjusted
# In units of the mean energy of a weight. High from the start: a network that is small at once
# and grows generalises better than one that was large.
_FIRST_PRICE = 2.0
_PACE = 0.15  # how far the price's logarithm may move from check to check
_SLOWER = 0.3  # and how much slower while codes are free, where the error follows late
# And how much more so down: the error falls with the learning rate by itself, and a price that
# gave way to it would let the network grow for nothing.
_RELUCTANT = 0.15
# How much faster it falls where the budget is missed by more than so many times. What lies below
# may be the noise of codes that come and go, and ends with it.
_HASTE, _FAR = 4.0, 5.0
_PATIENCE = 15  # checks in a row that miss the budget, after which weights that left come back
_CHEAPER = 0.7  # and what the price is multiplied by then
_AVERAGED = 0.02  # share of the steps over which weights are averaged
_KEPT = ("dense_error", "price", "taken", "error", "size", "_missed", "_step", "_within")


class BudgetedSharing(nn.Module):
    """Makes a network as small as a budget allows, in any training loop, by one line a step.

    Weights stand at a few shared values from the first step on (:class:`SharedValues`), and each
    bit has a price. The price is a Lagrange multiplier: it rises while the network has room to
    spare and falls when it has not. What is measured, and kept, is the average of the network's
    last steps, so that the noise of a high learning rate does not eat up the budget. Where the
    budget is missed for long, weights go back to what they were when it was met. For the last
    twentieth of the steps codes stay, and values settle.

    It is a module without parameters, whose ``state_dict`` keeps all that a resumed run needs.

    Args:
        model: a trained network; its parameters are brought to shared values here.
        steps: of the whole training; let the learning rate fall towards their end.
        held_out: measures the model's error on data that is not trained on, for example the
            share of wrong answers or a mean error in nats; less is better. Called about 100
            times.
        lose: how much that error may grow, in its own unit, > 0.
        bytes: how large the file may become, in place of ``held_out`` and ``lose``.

    Raises:
        ValueError: an argument is out of range or missing, the model has no weights to prune, or
            one of its weights is masked or parametrised (named).
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        steps: int,
        held_out: Callable[[nn.Module], float] | None = None,
        lose: float | None = None,
        bytes: int | None = None,
    ) -> None:
        super().__init__()
        check("steps", steps, steps >= 1, "at least 1: epochs times batches of an epoch")
        if (bytes is None) == (held_out is None) or (held_out is None) != (lose is None):
            told = f"held_out is {held_out}, lose is {lose}, bytes is {bytes}"
            raise ValueError(f"{told}; give held_out and lose, or bytes alone")
        fits = lose is None or 0 < lose < math.inf
        check("lose", lose, fits, "positive: how much held_out may grow")
        check("bytes", bytes, bytes is None or bytes >= 1, "at least 1")
        weights = prunable_weights(model)
        # Names as the plain network has them, as in the codes that are stored.
        every = weights | {n: p for n, p in plain_parameters(model).items() if p.dim() < 2}
        parameters = {n: p for n, p in every.items() if p.is_floating_point()}
        check_settable(parameters, "stand at a shared value")
        self._model = (model,)  # in a tuple: its parameters are not ours
        self.steps, self.held_out, self.lose, self.bytes = steps, held_out, lose, bytes
        self.dense_error = self._error()
        buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
        self._values = SharedValues(parameters, buffers, _AVERAGED * steps)  # type: ignore[arg-type]
        self.price = _FIRST_PRICE * self._values.energy()
        self.taken = 0
        self.error, self.size = self.dense_error, math.nan
        self._best: dict[str, Any] | None = None
        # How many checks in a row missed the budget, how far off the last was (above 0 there was
        # room), and what the weights were when one met it.
        self._missed, self._step = 0, 0.0
        self._within: dict[str, Any] | None = None

    @property
    def model(self) -> nn.Module:
        """The network that is made small."""
        return self._model[0]

    @property
    def phase(self) -> Phase:
        """What codes may do at this step."""
        done = self.taken / self.steps
        if done >= _SETTLING:
            return Phase.FIXED
        # What has never been within the budget has to be able to grow.
        return Phase.FREE if done < _FREE or self._within is None else Phase.LEAVING

    def step(self) -> None:
        """Say that the optimiser has taken a step; call it before gradients are set to zero."""
        self.taken += 1
        self._values.step(self.price, self.phase)
        if self.taken % max(1, self.steps // _CHECKS) == 0 or self.taken == self.steps:
            self._check()
            self._adjust()

    def _check(self) -> None:
        """Measure the averaged network, and remember it if it is the best so far."""
        with self._values.averaged(self.price, self.phase) as (codes, books):
            self.error = self._error()
            self.size = sum(entropy(codes[k]) / 8 + 2 * len(books[k]) - 2 for k in codes)
            # Of networks within a budget of bytes the last: its values have settled longest.
            rank = (max(self._excess(), 0.0), self.size if self.bytes is None else 0.0)
            if self._best is None or rank <= self._best["rank"]:
                network = Quantised.beside(plain_state(self.model), codes, books)
                found = {"error": self.error, "bytes": self.size, "network": network}
                self._best = found | {"rank": rank}
        met = self._excess() <= 0
        self._missed = 0 if met else self._missed + 1
        self._within = self._values.state() if met else self._within

    def _adjust(self) -> None:
        """Raise the price where there is room, lower it where there is none."""
        if self.phase is Phase.LEAVING and self._missed > _PATIENCE and self._within:
            self._values.load(self._within)
            self._missed, self.price = 0, _CHEAPER * self.price
            return
        if self.bytes is not None:
            step = 3 * math.log(self.size / (0.97 * self.bytes))  # to end a little below
        else:
            step = -self._excess() / float(self.lose or 1)
        far = max(step, self._step) < -_FAR  # twice: once may be a spike of the loss
        self._step = step
        pace = _PACE * _SLOWER if self.taken < _FREE * self.steps else _PACE
        if step < 0 and not far and self.bytes is None:
            pace *= _RELUCTANT
        fall = _HASTE if far else 1.0
        if math.isfinite(step) and self.taken >= _WARM * self.steps:
            self.price *= math.exp(pace * max(-fall, min(1.0, step)))

    def _excess(self) -> float:
        """By how much the budget is missed, in its unit."""
        if self.bytes is not None:
            return self.size - self.bytes
        return self.error - self.dense_error - self.lose  # type: ignore[operator]

    def _error(self) -> float:
        if self.held_out is None:
            return math.nan
        was_training = self.model.training
        error = float(self.held_out(self.model.eval()))
        self.model.train(was_training)
        return error

    def quantise(self) -> Quantised:
        """The smallest network seen within the budget, else the one that came nearest to it.

        Warns in one line where the budget was missed, with what was reached.
        """
        if self._best is None:
            self._check()
        best: dict[str, Any] = self._best  # type: ignore[assignment]
        if best["rank"][0] > 0:
            wanted = f"{self.bytes} bytes" if self.bytes else f"a loss of {self.lose:g}"
            warnings.warn(
                f"the budget of {wanted} could not be met: reached about {best['bytes']:.0f} bytes "
                f"with an error of {best['error']:.4g} (dense {self.dense_error:.4g}); "
                "train for more steps or allow more",
                stacklevel=2,
            )
        return best["network"]

    def measure(self) -> dict[str, float]:
        """At the last check: the ``price`` of a bit, ``expected_bytes``, and the ``error``."""
        return {"price": self.price, "expected_bytes": self.size, "error": self.error}

    def get_extra_state(self) -> dict[str, Any]:
        """What ``state_dict`` keeps."""
        kept = {name: getattr(self, name) for name in _KEPT}
        best = self._best and self._best | {"network": vars(self._best["network"])}
        return kept | {"values": self._values.state(), "best": best}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        for name in _KEPT:
            setattr(self, name, state[name])
        self._values.load(state["values"])
        best = state["best"]
        self._best = best and best | {"network": Quantised(**best["network"])}
