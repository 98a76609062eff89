"""The Gaussian mixture of soft weight-sharing, a prior over weights.

A prior is minus the logarithm of a density, in nats. It may be negative. Added to a mean error per
example it is multiplied by ``tau / n``, with n the number of training examples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nnc.hints import check
from nnc.priors.tabulated import negative_log_density
from nnc.weights import prunable_weights

_POSITIVE = "a positive finite number"


@dataclass(frozen=True)
class Gamma:
    """Gamma density of a precision, ``p(lambda) ∝ lambda^(shape - 1) exp(-rate lambda)``.

    As a density in lambda itself (no Jacobian of the logarithm in which lambda is optimised).

    Args:
        shape: a > 0, a pure number.
        rate: b > 0, in units of weight² (lambda is in units of 1 / weight²).
    """

    shape: float
    rate: float

    def __post_init__(self) -> None:
        check("Gamma shape", self.shape, 0 < self.shape < math.inf, _POSITIVE)
        check("Gamma rate", self.rate, 0 < self.rate < math.inf, _POSITIVE)

    def log_density(self, log_precision: Tensor) -> Tensor:
        """``(a - 1) log lambda - b lambda``, up to a constant, elementwise."""
        return (self.shape - 1) * log_precision - self.rate * log_precision.exp()


@dataclass(frozen=True)
class Beta:
    """Beta density of the zero component's share, ``p(pi_0) ∝ pi_0^(a - 1) (1 - pi_0)^(b - 1)``.

    Args:
        a, b: > 0, pure numbers.
    """

    a: float
    b: float

    def __post_init__(self) -> None:
        check("Beta a", self.a, 0 < self.a < math.inf, _POSITIVE)
        check("Beta b", self.b, 0 < self.b < math.inf, _POSITIVE)

    def log_density(self, logit: Tensor) -> Tensor:
        """``(a - 1) log pi_0 + (b - 1) log(1 - pi_0)``, up to a constant, at a logit of pi_0."""
        log_share, log_rest = functional.logsigmoid(logit), functional.logsigmoid(-logit)
        return (self.a - 1) * log_share + (self.b - 1) * log_rest


@dataclass(frozen=True)
class HyperPriors:
    """What is believed about the mixture before any weight is seen.

    Args:
        zero: of the precision of the zero component. (5000, 2) is a width of about 0.02.
        others: of the precision of every other component. (250, 0.1) is also about 0.02.
        pi_0: of the zero component's share. None keeps the share fixed; a Beta makes it learnt.
    """

    zero: Gamma = Gamma(5000.0, 2.0)
    others: Gamma = Gamma(250.0, 0.1)
    pi_0: Beta | None = None


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians as numbers, ``p(x) = sum_j pi_j N(x | mu_j, 1 / lambda_j)``.

    All of it in float64, in main memory and detached; lists of numbers are taken as well.

    Args:
        means: mu, J + 1, index 0 the zero component, in units of weights.
        precisions: lambda > 0, J + 1, in units of 1 / weight².
        proportions: pi ≥ 0, J + 1, summing to 1.

    Raises:
        ValueError: the three differ in length, or a number is not finite or out of range.
    """

    means: Tensor
    precisions: Tensor
    proportions: Tensor

    def __post_init__(self) -> None:
        for name in ("means", "precisions", "proportions"):
            values = torch.as_tensor(getattr(self, name)).detach().cpu().double()
            object.__setattr__(self, name, _finite_list(name, values))
        lengths = [len(self.means), len(self.precisions), len(self.proportions)]
        if len(set(lengths)) > 1:
            raise ValueError(f"means, precisions and proportions must be equally many: {lengths}")
        least = self.precisions.min().item()
        check("the least of precisions", least, least > 0, "positive")
        least, total = self.proportions.min().item(), self.proportions.sum().item()
        check("the least of proportions", least, least >= 0, "at least 0")
        check("the sum of proportions", total, abs(total - 1) <= 1e-4, "1")

    @property
    def sigmas(self) -> Tensor:
        """Standard deviations ``1 / sqrt(lambda)``, J + 1, in units of weights."""
        return self.precisions.rsqrt()

    def log_density(self, x: Tensor) -> Tensor:
        """``log p(x)`` in nats, of the shape of ``x``; ``-log2 p(x)`` is bits, up to a constant.

        This and the next two hold J + 1 numbers per point: give large tensors in pieces.
        """
        return self._log_joint(x).logsumexp(-1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """``r_j(x) = pi_j N(x | mu_j, 1 / lambda_j) / p(x)``, of shape ``x.shape + (J + 1,)``."""
        return self._log_joint(x).softmax(-1)

    def pull(self, x: Tensor) -> Tensor:
        """``d(-log p) / dx = sum_j r_j lambda_j (x - mu_j)``, in units of 1 / weight."""
        forces = self.precisions * self._distances(x)
        return (self.responsibilities(x) * forces).sum(-1)

    def _log_joint(self, x: Tensor) -> Tensor:
        log_heights = self.proportions.log() + (self.precisions / (2 * math.pi)).log() / 2
        return log_heights - self.precisions * self._distances(x) ** 2 / 2

    def _distances(self, x: Tensor) -> Tensor:
        return torch.as_tensor(x).detach().to(self.means)[..., None] - self.means


class GaussianMixturePrior(nn.Module):
    """The Gaussian mixture of soft weight-sharing, with hyper-priors, all of it learnt.

    The penalty is ``- sum_l sum_i (log sum_j pi_j N(w_i / s_l | mu_j, 1 / lambda_j) - log s_l)
    - sum_j log Gamma(lambda_j | a_j, b_j) - log Beta(pi_0 | a, b)``, with ``mu_0 = 0`` fixed,
    ``pi_j = (1 - pi_0) softmax(rho)_j`` for j ≥ 1, and the scales' product fixed at 1.
    Source: Nowlan and Hinton (1992) and Bishop, "Pattern Recognition and Machine Learning"
    (2006), equations 5.137 and 5.138, for the mixture; Ullrich, Meeds and Welling, "Soft
    weight-sharing for neural network compression" (2017), for the zero component and the
    hyper-priors.

    Args:
        means: of the non-zero components at the start, J, in units of weights. Its dtype (if it
            is a floating one) is that of all parameters.
        sigma: width of every component at the start, in units of weights.
        pi_0: share of the zero component, in (0, 1); fixed unless ``hyper.pi_0`` is given.
        hyper: the hyper-priors.
        layers: number of weight tensors that each get a learnt scale, or None for no scales.
        tabulated: look densities up in a table, six times (LeNet-300-100) to thirteen times
            (vgg13) faster; their slopes are then off by at most 1 % of the largest slope
            (:func:`nnc.priors.tabulated.negative_log_density` says how). False computes every one.
    """

    def __init__(
        self,
        means: Tensor,
        *,
        sigma: float = 0.25,
        pi_0: float = 0.999,
        hyper: HyperPriors = HyperPriors(),
        layers: int | None = None,
        tabulated: bool = True,
    ) -> None:
        super().__init__()
        means = torch.as_tensor(means).detach().clone()
        means = means if means.is_floating_point() else means.float()
        _finite_list("means", means)
        check("sigma", sigma, 0 < sigma < math.inf, _POSITIVE)
        check("pi_0", pi_0, 0 < pi_0 < 1, "between 0 and 1 (both excluded)")
        fits = layers is None or layers >= 1
        check("layers", layers, fits, "at least 1, or None for no scales")
        self.hyper, self.tabulated = hyper, tabulated
        self.means = nn.Parameter(means)
        self.log_precisions = nn.Parameter(means.new_full((len(means) + 1,), -2 * math.log(sigma)))
        self.mixing_logits = nn.Parameter(torch.zeros_like(means))
        logit = means.new_tensor(math.log(pi_0) - math.log1p(-pi_0))
        self.logit_pi_0: Tensor
        if self.hyper.pi_0 is None:
            self.register_buffer("logit_pi_0", logit)
        else:
            self.logit_pi_0 = nn.Parameter(logit)
        self.log_scales = None if layers is None else nn.Parameter(means.new_zeros(layers))

    def forward(self, weights: Sequence[Tensor] | nn.Module) -> Tensor:
        """The penalty of these weights, a scalar in nats, to be multiplied by ``tau / n``.

        Args:
            weights: the prunable tensors, of any shape, one per layer; or the module that has
                them. None, others than floating point, not one per scale, or on another device
                than the prior are a ValueError.
        """
        layers = _layers(weights)
        device = self.means.device
        for w in layers:
            same = w.device == device
            check("a weight", w, same, f"on {device} as the prior; move one with .to(device)")
        penalty = -self._log_hyper_priors()
        if self.log_scales is not None:
            count, scales = len(layers), len(self.log_scales)
            check("the number of weights", count, count == scales, f"{scales}, one per scale")
            log_scales = self.log_scales - self.log_scales.mean()
            layers = [w / s for w, s in zip(layers, log_scales.exp(), strict=True)]
            sizes = log_scales.new_tensor([w.numel() for w in layers])
            penalty = penalty + (sizes * log_scales).sum()
        parameters = self._means(), self.log_precisions, self._log_proportions()
        return penalty + negative_log_density(layers, *parameters, tabulated=self.tabulated)

    def mixture(self) -> Mixture:
        """The mixture as it stands, in float64 and detached."""
        logs = self.log_precisions, self._log_proportions()
        precisions, shares = (log.detach().cpu().double().exp() for log in logs)
        return Mixture(self._means(), precisions, shares)

    def scales(self) -> tuple[float, ...]:
        """The scales of the layers, whose product is 1; empty where none are learnt."""
        if self.log_scales is None:
            return ()
        log_scales = self.log_scales.detach().cpu().double()
        return tuple((log_scales - log_scales.mean()).exp().tolist())

    def parameter_groups(self, lr_means: float, lr_others: float) -> list[dict[str, Any]]:
        """Two groups for an optimiser: the means, and all else (which has to move faster)."""
        others = [p for name, p in self.named_parameters() if name != "means"]
        return [{"params": [self.means], "lr": lr_means}, {"params": others, "lr": lr_others}]

    def _means(self) -> Tensor:
        return functional.pad(self.means, (1, 0))

    def _log_proportions(self) -> Tensor:
        rest = functional.logsigmoid(-self.logit_pi_0) + self.mixing_logits.log_softmax(0)
        return torch.cat([functional.logsigmoid(self.logit_pi_0)[None], rest])

    def _log_hyper_priors(self) -> Tensor:
        zero, others = self.log_precisions[0], self.log_precisions[1:]
        found = self.hyper.zero.log_density(zero) + self.hyper.others.log_density(others).sum()
        if self.hyper.pi_0 is not None:
            found = found + self.hyper.pi_0.log_density(self.logit_pi_0)
        return found


def _layers(weights: Sequence[Tensor] | nn.Module) -> list[Tensor]:
    if isinstance(weights, nn.Module):
        return list(prunable_weights(weights).values())
    if isinstance(weights, Tensor):
        raise ValueError("weights must be a sequence of tensors, got one tensor: write [weight]")
    layers = list(weights)
    if not layers:
        raise ValueError("weights must hold at least one tensor, got none")
    for w in layers:
        check("a weight", w, w.is_floating_point(), "floating point")
    return layers


def _finite_list(name: str, values: Tensor) -> Tensor:
    fits = values.ndim == 1 and len(values) > 0 and bool(values.isfinite().all())
    check(name, values.tolist(), fits, "a list of at least one number, all finite")
    return values
