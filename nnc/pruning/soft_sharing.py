"""Soft weight-sharing in any training loop: steps 2 and 3 as one object."""

from __future__ import annotations

import math
from dataclasses import asdict
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from nnc.hints import check
from nnc.priors import Beta, Gamma, GaussianMixturePrior, HyperPriors
from nnc.pruning.folding import normalised_layers
from nnc.pruning.kmeans import kmeans
from nnc.pruning.quantised import Quantised, entropy
from nnc.pruning.sharing import Rule, quantise
from nnc.weights import check_settable, plain_state, prunable_weights, unwrapped, wide

_COMPONENTS = 16  # besides the zero component
# Of the zero component. More makes smaller files where there are many steps; with few, weights that
# matter are still under a wide zero component when they are assigned.
_ZERO_SHARE = 0.9
_TRAVEL = 12.0  # how far a logarithm of a precision may go in all steps, in nats
_MEAN_TRAVEL = 2.0  # how far a mean may go, in units of the range of the weights


class SoftWeightSharing(nn.Module):
    """Carries a network through soft weight-sharing: cluster, hold the zeros, quantise.

    In each step of a training loop :meth:`penalty` is added to the error, and :meth:`step` is
    called after the optimiser's. The penalty is ``tau / n`` times the mixture prior of all
    prunable weights, times a factor that grows from 0 to 1 over the first ``ramp`` of the steps,
    stays, and falls exponentially to ``relief`` over the last ``ease`` of them. Source: Ullrich,
    Meeds and Welling, "Soft weight-sharing for neural network compression" (2017); the factor is
    ours.

    It is a module whose parameters are the prior's, so that ``state_dict`` and
    ``load_state_dict`` keep all that a resumed run needs; the network is no part of it.

    Args:
        model: a trained network; used as it stands, and left unchanged here.
        examples: n, the number of training examples.
        steps: of the whole training under the prior.
        tau: how hard the prior pulls; 1 is the weight of a likelihood. More makes smaller files.
        prior: the mixture at the start, for weights as they are. Unless given, 16 components
            evenly over the range of the network's weights and a zero component with the
            share 0.9; and a layer with a batch norm behind it is then seen in units of its own
            deviation, because the scale of its weights says nothing.
        ramp, ease: shares of the steps, in [0, 1].
        relief: the factor at the end, in (0, 1].
        threshold: components closer than this (symmetrised KL, nats) are merged when weights are
            assigned.
        by: the rule that assigns weights to components.

    Raises:
        ValueError: an argument is out of range, or the model has no weights to prune.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        examples: int,
        steps: int,
        tau: float = 0.1,
        prior: GaussianMixturePrior | None = None,
        ramp: float = 0.25,
        ease: float = 0.4,
        relief: float = 0.2,
        threshold: float = 0.1,
        by: Rule = "responsibility",
    ) -> None:
        super().__init__()
        given = {"examples": examples, "steps": steps, "tau": tau}
        for name, value in (given | {"ramp": ramp, "ease": ease, "relief": relief}).items():
            check(name, value, isinstance(value, Real), "a number")
        check("examples", examples, examples >= 1, "at least 1: the number of training examples")
        check("steps", steps, steps >= 1, "at least 1: epochs times batches of an epoch")
        check("tau", tau, 0 <= tau < math.inf, "at least 0 and finite")
        check("ramp", ramp, 0 <= ramp <= 1, "from 0 to 1, a share of the steps")
        check("ease", ease, 0 <= ease <= 1, "from 0 to 1, a share of the steps")
        check("relief", relief, 0 < relief <= 1, "above 0 and at most 1")
        self._model = (model,)  # in a tuple: its parameters are not ours
        weights = prunable_weights(model)
        allowed = "finite; a row of zeros below weight_norm is not, else train it again"
        for name, weight in weights.items():
            check(name, weight, bool(torch.isfinite(weight).all()), allowed)
        self._units = _units(model, weights) if prior is None else dict.fromkeys(weights, 1.0)
        self._prior = prior if prior is not None else self._first_prior(weights)
        self._prior.to(next(iter(weights.values())).device)
        self.examples, self.steps, self.tau = examples, steps, tau
        self.ramp, self.ease, self.relief = ramp, ease, relief
        self.threshold, self.by = threshold, by
        self.taken = 0
        self._held: dict[str, Tensor] = {}
        # A tensor, so that torch.compile does not compile the penalty anew in every step.
        self._factor: Tensor
        self.register_buffer("_factor", self._prior.means.detach().new_zeros(()), persistent=False)
        self._set_factor()

    @property
    def prior(self) -> GaussianMixturePrior:
        """The mixture prior as it stands."""
        return self._prior

    @property
    def pressure(self) -> float:
        """The factor on ``tau`` at this step; ``relief`` once zeros are held."""
        if self._held:
            return self.relief
        progress = self.taken / self.steps
        growing = min(1.0, progress / self.ramp) if self.ramp else 1.0
        easing = max(0.0, (progress - 1 + self.ease) / self.ease) if self.ease else 0.0
        return growing * self.relief ** min(1.0, easing)

    def penalty(self, progress: float | None = None) -> Tensor:
        """What is added to the mean error of a batch, once a step: a scalar in nats.

        Args:
            progress: not used; it is there for loops that pass the share of steps already done.
        """
        weights = self._seen(prunable_weights(self.model))
        if not torch.compiler.is_compiling():
            self._set_factor()
        return self._factor * self._prior(weights)

    def step(self) -> None:
        """Say that the optimiser has taken a step; weights that are held at zero return to it."""
        self.taken += 1
        self._set_factor()
        self._return_to_zero()

    def parameter_groups(
        self, means: float | None = None, others: float | None = None
    ) -> list[dict[str, Any]]:
        """The prior's parameters for an optimiser, in two groups with learning rates of their own.

        Args:
            means: learning rate of the means, in units of weights a step (Adam's); twice the
                range of the weights over all steps unless given.
            others: of log-precisions and mixing logits; unless given 12 over all steps, from
                0.0003 to 0.03.
        """
        if means is None:
            limit = float(self._prior.means.detach().abs().max())
            means = _MEAN_TRAVEL * limit / self.steps
        if others is None:
            others = min(max(_TRAVEL / self.steps, 3e-4), 3e-2)
        return self._prior.parameter_groups(means, others)

    def hold_zeros(self) -> float:
        """Set what would be pruned now to zero, keep it there, and let the rest settle.

        From here on the pressure is ``relief``. Call it after the last step of clustering, and
        train on for as long as the weights need. Gives the share of prunable weights that is
        held. A weight that is masked or parametrised cannot be set: a ValueError names it.
        """
        check_settable(prunable_weights(self.model), "be held at zero")
        assigned = self._assigned()
        self._held = self._here({name: codes == 0 for name, codes in assigned.codes.items()})
        self._set_factor()
        self._return_to_zero()
        return assigned.sparsity()

    def quantise(self, levels: int | None = None) -> Quantised:
        """Step 3: prune what the zero component owns, and bring the rest to few values.

        The model is left unchanged; :func:`nnc.freeze` puts the result into it to train on.

        Args:
            levels: entries of a k-means codebook for each tensor, zero among them; None sets
                weights to the means of their components, one mixture for all layers.
        """
        if levels is None:
            return self._assigned()
        zeros = self._held or {k: codes == 0 for k, codes in self._assigned().codes.items()}
        codes, codebooks = {}, {}
        for name, weight in prunable_weights(self.model).items():
            kept = weight.detach().masked_fill(zeros[name].to(weight.device), 0)
            codes[name], codebooks[name] = kmeans(kept, levels)
        return Quantised.beside(plain_state(self.model), codes, codebooks)

    def _assigned(self) -> Quantised:
        """Every weight given to the component that owns it."""
        return quantise(
            self.model, self._prior, threshold=self.threshold, by=self.by, units=self._units
        )

    def measure(self) -> dict[str, float]:
        """What is going on at this step.

        ``would_be_sparsity``: the share that step 3 would set to zero now; ``expected_bytes``:
        what the codes would take at their entropy, tensor by tensor; ``zero_sigma``: width of the
        zero component, in units of weights; and ``pressure``.
        """
        assigned = self._assigned()
        return {
            "would_be_sparsity": assigned.sparsity(),
            "expected_bytes": sum(entropy(codes) for codes in assigned.codes.values()) / 8,
            "zero_sigma": float(self._prior.mixture().sigmas[0]),
            "pressure": self.pressure,
        }

    @property
    def model(self) -> nn.Module:
        """The network that is carried through."""
        return self._model[0]

    def get_extra_state(self) -> dict[str, Any]:
        """What ``state_dict`` keeps besides the prior."""
        # Units and hyper-priors come from the weights that the object was made with.
        start = {"units": dict(self._units), "hyper": asdict(self._prior.hyper)}
        return start | {"taken": self.taken, "held": dict(self._held)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.taken, self._units = state["taken"], dict(state["units"])
        zero, others, pi_0 = (state["hyper"][name] for name in ("zero", "others", "pi_0"))
        pi_0 = pi_0 and Beta(**pi_0)
        self._prior.hyper = HyperPriors(zero=Gamma(**zero), others=Gamma(**others), pi_0=pi_0)
        self._held = self._here(state["held"])
        self._set_factor()

    def _set_factor(self) -> None:
        """Keep the penalty's factor, which a compiled penalty cannot compute itself."""
        # A new one: the last one's graph may still be there.
        self._factor = torch.full_like(self._factor, self.tau / self.examples * self.pressure)

    def _here(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self._prior.means.device) for name, tensor in tensors.items()}

    def _seen(self, weights: dict[str, Tensor]) -> list[Tensor]:
        """Weights as the prior sees them: each layer in its unit, and none in half precision."""
        found = ((wide(weight), self._units[name]) for name, weight in weights.items())
        return [weight if unit == 1 else weight / unit for weight, unit in found]

    @torch.no_grad()
    def _return_to_zero(self) -> None:
        if self._held:
            for name, weight in prunable_weights(self.model).items():
                weight.masked_fill_(self._held[name], 0)

    def _first_prior(self, weights: dict[str, Tensor]) -> GaussianMixturePrior:
        """A mixture over the range of the network's own weights.

        Its widths and hyper-priors are those of the paper for a range of ±0.6, scaled.
        """
        with torch.no_grad():
            seen = self._seen(weights)
            limit = max(float(w.abs().max()) for w in seen)
        check("the largest weight of model", limit, limit > 0, "above 0: train it first")
        dtype = torch.float64 if any(w.dtype == torch.float64 for w in seen) else torch.float32
        unit = (limit / 0.6) ** 2
        return GaussianMixturePrior(
            torch.linspace(-limit, limit, _COMPONENTS, dtype=dtype),
            sigma=0.4 * limit,
            pi_0=_ZERO_SHARE,
            hyper=HyperPriors(zero=Gamma(5000.0, 2.0 * unit), others=Gamma(250.0, 0.1 * unit)),
        )


@torch.no_grad()
def _units(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, float]:
    """The unit of each tensor: 1, or its own deviation over the others' where batch norm follows.

    The others are the tensors whose scale matters; without any, all have the deviation 0.05.
    """
    free = {id(layer.weight) for layer, _ in normalised_layers(unwrapped(model))}
    spread = {
        name: float(w.double().std(correction=min(1, w.numel() - 1))) for name, w in weights.items()
    }
    bound = [s for name, s in spread.items() if id(weights[name]) not in free and s > 0]
    common = math.exp(sum(map(math.log, bound)) / len(bound)) if bound else 0.05
    return {
        name: spread[name] / common if id(w) in free and spread[name] > 0 else 1.0
        for name, w in weights.items()
    }
