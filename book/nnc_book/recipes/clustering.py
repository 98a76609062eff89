"""Shrinking by soft weight-sharing: train under a mixture prior, then assign.

Source: Ullrich, Meeds and Welling (2017); the growing and easing weight of the prior is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nnc import prunable_weights
from nnc.priors import Gamma, GaussianMixturePrior, HyperPriors
from nnc.pruning import Quantised, Rule, quantise, quantise_kmeans
from nnc.training import History, evaluate
from nnc_book.recipes.job import digest
from nnc_book.recipes.schedules import linear_cooling
from nnc_book.recipes.stages import STORING, Settings, Stages


@dataclass(frozen=True)
class Clustering(Settings):
    """Choices of step 2 and of the assignment. Learning rates are Adam's.

    The penalty's weight is ``tau / n`` times a factor that grows from 0 to 1 over the first
    ``ramp`` of the steps, stays, and falls exponentially to ``relief`` over the last ``ease``.
    """

    cluster_epochs: int = 40
    tau: float = 0.17
    ramp: float = 0.25
    ease: float = 0.4
    relief: float = 0.2
    components: int = 16  # besides the zero component
    mean_range: float = 0.6  # means start evenly over ± this
    sigma: float = 0.25
    pi_0: float = 0.9999
    zero_shape: float = 5000.0
    zero_rate: float = 2.0
    other_shape: float = 250.0
    other_rate: float = 0.1
    weight_learning_rate: float = 1e-3
    mean_learning_rate: float = 1e-4
    mixture_learning_rate: float = 3e-3  # log-precisions and mixing logits
    merge_threshold: float = 0.1
    assign_by: Rule = "responsibility"

    def prior(self, layers: int) -> GaussianMixturePrior:
        """The mixture at the start: means evenly over a range, all components equally wide."""
        return GaussianMixturePrior(
            torch.linspace(-self.mean_range, self.mean_range, self.components),
            sigma=self.sigma,
            pi_0=self.pi_0,
            hyper=self.hyper_priors(),
            layers=layers if self.learns_scales() else None,
        )

    def hyper_priors(self) -> HyperPriors:
        """What is believed about the mixture at the start."""
        return HyperPriors(
            zero=Gamma(self.zero_shape, self.zero_rate),
            others=Gamma(self.other_shape, self.other_rate),
        )

    def learns_scales(self) -> bool:
        """Whether each layer has a scale of its own."""
        return False


@dataclass(frozen=True)
class Settling(Clustering):
    """Choices where the weights that are left settle, and each layer has values of its own."""

    settle_epochs: int = 5  # 0 for codebooks at once
    levels: int = 8  # of each layer's codebook, zero among them


def cluster(stages: Stages, model: nn.Module) -> tuple[Quantised, dict[str, History]]:
    """Step 2, and the assignment of step 3."""
    prior = stages.settings.prior(len(prunable_weights(model)))
    history = {"cluster": _train_under(prior, stages, model, "cluster")}
    return _assigned(stages.settings, model, prior), history


def cluster_and_settle(stages: Stages, model: nn.Module) -> tuple[Quantised, dict[str, History]]:
    """Step 2 in two stages, what the first prunes staying zero in the second, and k-means.

    One mixture for all layers says which weights are zero. For the few that are left, a layer's
    own codebook is nearer than components that serve all layers.
    """
    settings = stages.settings
    prior = settings.prior(len(prunable_weights(model)))
    history = {"cluster": _train_under(prior, stages, model, "cluster")}
    hold_zeros(model, _assigned(settings, model, prior))
    if settings.settle_epochs:
        history["settle"] = _train_under(prior, stages, model, "settle")
    return quantise_kmeans(model.state_dict(), settings.levels), history


def hold_zeros(model: nn.Module, assigned: Quantised) -> None:
    """Set the weights that are pruned to zero, and their gradients from now on."""
    with torch.no_grad():
        for name, weight in prunable_weights(model).items():
            pruned = (assigned.codes[name] == 0).to(weight.device)
            weight.masked_fill_(pruned, 0)
            # Adam leaves a weight where it is whose gradients have all been zero.
            weight.register_hook(partial(torch.Tensor.masked_fill, mask=pruned, value=0))


def _train_under(
    prior: GaussianMixturePrior, stages: Stages, model: nn.Module, name: str
) -> History:
    """Train network and mixture together; the pressure of ``settle`` is low and level."""
    settings, task = stages.settings, stages.task
    settles = name == "settle"
    epochs = settings.settle_epochs if settles else settings.cluster_epochs
    weights = list(prunable_weights(model).values())
    initial = [weight.detach().clone() for weight in weights]
    if stages.film:
        stages.film.begin(initial, prior)
    n = len(task.training)

    def penalty(progress: float) -> Tensor:
        factor = settings.relief if settles else pressure(settings, progress)
        return settings.tau / n * factor * prior(weights)

    def measure(epoch: int) -> dict[str, float]:
        pruned = quantise(model, prior)
        if stages.film:
            stages.film.add(epoch, initial, weights, prior)
        return {
            "pruned_accuracy": evaluate(task.rebuilt(pruned), task.validation),
            "would_be_sparsity": pruned.sparsity(),
            "zero_sigma": float(prior.mixture().sigmas[0]),
        }

    optimiser = torch.optim.Adam(
        [
            {"params": model.parameters(), "lr": settings.weight_learning_rate},
            *prior.parameter_groups(settings.mean_learning_rate, settings.mixture_learning_rate),
        ],
        fused=True,
    )
    cool = linear_cooling(stages.steps(epochs), over=0.3)
    next_step = () if settles else ("settle", "merge", "assign")
    return stages.fit(
        name,
        model,
        optimiser=optimiser,
        # The weights' rate falls at the end; the mixture has to keep following them.
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimiser, [cool, _constant, _constant]),
        epochs=epochs,
        penalty=penalty,
        prior=prior,
        measure=measure,
        key=digest(settings, without=(*next_step, "frozen", "levels", *STORING)),
    )


def _assigned(settings: Clustering, model: nn.Module, prior: GaussianMixturePrior) -> Quantised:
    return quantise(model, prior, threshold=settings.merge_threshold, by=settings.assign_by)


def pressure(settings: Clustering, progress: float) -> float:
    """The factor on ``tau`` after a share of the steps: up, level, and down again."""
    easing = max(0.0, (progress - 1 + settings.ease) / settings.ease) if settings.ease else 0.0
    return min(1.0, progress / settings.ramp) * settings.relief**easing


def _constant(step: int) -> float:
    return 1.0
