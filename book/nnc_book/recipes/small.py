"""From a trained network to a small file: the stages that the recipes of small networks call.

Each recipe brings a trained network and what it learns; it is shrunk by soft weight-sharing
(:func:`share`) or by magnitude (:mod:`nnc_book.recipes.magnitude`), trained on with the assignment
frozen, stored, read back and scored (:func:`finish`), so that records can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnc import prunable_weights, storage
from nnc.data import as_input
from nnc.priors import Gamma, GaussianMixturePrior, HyperPriors
from nnc.pruning import (
    Quantised,
    Rule,
    SoftWeightSharing,
    code_rest,
    fold_batch_norm,
    fold_empty_units,
    freeze,
    unfreeze,
)
from nnc.storage import Precision
from nnc.training import History, evaluate, fit
from nnc_book.recipes.film import Film
from nnc_book.recipes.job import Job, Outcome, digest
from nnc_book.recipes.schedules import linear_cooling
from nnc_book.recipes.task import Task

Histories = dict[str, History]
_STORING = ("rest", "precision")  # settings that no training depends on


@dataclass(frozen=True)
class Settings:
    """What all recipes that end in a small file choose."""

    validation: int = 5000  # training images set aside
    batch_size: int = 128
    frozen_epochs: int = 15
    frozen_learning_rate: float = 1e-3
    rest_levels: int = 16  # entries of the codebook of biases and of batch norm's numbers
    precision: Precision = "float16"  # of codebooks and of numbers that are not coded


@dataclass(frozen=True)
class Clustering(Settings):
    """Choices of step 2 and of the assignment, as ``SoftWeightSharing`` has them; Adam's rates."""

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
    levels: int = 8  # of each layer's codebook, zero among them; 0 for the mixture's values


def share(
    settings: Any, job: Job, task: Task, model: nn.Module, film: Film | None = None
) -> tuple[Quantised, Histories]:
    """Soft weight-sharing: cluster, hold the zeros while the rest settles, assign.

    Settings without a stage of settling end with the mixture's values. With one, the mixture says
    which weights are zero, and for the few that are left a layer's own codebook is nearer than
    components that serve all layers.
    """
    sharing = SoftWeightSharing(
        model,
        examples=len(task.training),
        steps=task.steps(settings.cluster_epochs, settings.batch_size),
        tau=settings.tau,
        prior=settings.prior(len(prunable_weights(model))),
        ramp=settings.ramp,
        ease=settings.ease,
        relief=settings.relief,
        threshold=settings.merge_threshold,
        by=settings.assign_by,
    )
    under_prior = partial(_train_under_prior, settings, job, task, model, sharing, film)
    history = {"cluster": under_prior("cluster", settings.cluster_epochs)}
    if not isinstance(settings, Settling) or not settings.levels:
        return sharing.quantise(), history
    sharing.hold_zeros()
    if settings.settle_epochs:
        history["settle"] = under_prior("settle", settings.settle_epochs)
    return sharing.quantise(settings.levels), history


def _train_under_prior(
    settings: Any,
    job: Job,
    task: Task,
    model: nn.Module,
    sharing: SoftWeightSharing,
    film: Film | None,
    name: str,
    epochs: int,
) -> History:
    """Train network and mixture together."""
    weights = list(prunable_weights(model).values())
    initial = [weight.detach().clone() for weight in weights]
    if film:
        film.begin(initial, sharing.prior)

    def measure(epoch: int) -> dict[str, float]:
        if film:
            film.add(epoch, initial, weights, sharing.prior)
        pruned = task.rebuilt(sharing.quantise())
        return {"pruned_accuracy": evaluate(pruned, task.validation), **sharing.measure()}

    rates = settings.mean_learning_rate, settings.mixture_learning_rate
    network = {"params": model.parameters(), "lr": settings.weight_learning_rate}
    optimiser = torch.optim.Adam([network, *sharing.parameter_groups(*rates)], fused=True)
    cool = linear_cooling(task.steps(epochs, settings.batch_size), over=0.3)
    return train(
        settings,
        job,
        task,
        model,
        name,
        epochs=epochs,
        optimiser=optimiser,
        # The weights' rate falls at the end; the mixture has to keep following them.
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimiser, [cool, _constant, _constant]),
        penalty=sharing.penalty,
        prior=sharing,
        after_step=sharing.step,
        measure=measure,
    )


def train(
    settings: Any, job: Job, task: Task, model: nn.Module, name: str, **arguments: Any
) -> History:
    """Train on the task, resuming from ``<name>.checkpoint`` in the job's folder."""
    return fit(
        model,
        task.training,
        task.loss,
        batch_size=settings.batch_size,
        validation=task.validation,
        views=task.views,
        seed=job.seed,
        checkpoint=job.folder / f"{name}.checkpoint",
        run=f"{name} on {job.data.fingerprint[:12]}, {digest(settings, without=_STORING)}",
        progress=job.progress,
        **arguments,
    )


def train_frozen(
    settings: Any, job: Job, task: Task, assigned: Quantised, name: str = "frozen"
) -> tuple[Quantised, History]:
    """Step 3, second half: train the values, with which weights share one fixed."""
    model = freeze(task.build(), assigned)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.frozen_learning_rate, fused=True)
    epochs = settings.frozen_epochs
    cool = linear_cooling(task.steps(epochs, settings.batch_size), over=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, cool)
    history = train(
        settings, job, task, model, name, epochs=epochs, optimiser=optimiser, scheduler=scheduler
    )
    return unfreeze(model), history


def finish(
    settings: Any,
    job: Job,
    task: Task,
    dense: nn.Module,
    assigned: Quantised,
    history: Histories,
    film: Film | None = None,
) -> Outcome:
    """Train the values, store the network, read it back and score it."""
    trained, history["frozen"] = train_frozen(settings, job, task, assigned)
    network = job.folder / "network.sws"
    _, scored = job.scored(task.validation)
    metrics = {
        "dense_accuracy": evaluate(dense, scored),
        "assigned_accuracy": evaluate(task.rebuilt(assigned), scored),
        **store_and_score(settings, job, task, trained, network),
    }
    frames = film.save(job.folder / "film.npz") if film else ()
    return Outcome(metrics, history, job.sizes(task.training, task.validation), network, frames)


def store_and_score(
    settings: Any, job: Job, task: Task, trained: Quantised, path: Path
) -> dict[str, float]:
    """Make a network ready for its file, write it, read it back, and say what a record says of it.

    Returns:
        ``<kind>_accuracy``, ``sparsity``, ``file_bytes``, ``compression_ratio``, ``levels``.
    """
    model = fold_batch_norm(trained.load_into(task.build()))
    emptied = fold_empty_units(model, as_input(task.validation.images[:64])).state_dict()
    final = code_rest(Quantised.from_state_dict(emptied, trained.codes), settings.rest_levels)
    storage.save(final, path, precision=settings.precision)
    kind, scored = job.scored(task.validation)
    file_bytes = path.stat().st_size
    return {
        f"{kind}_accuracy": evaluate(storage.load(path).load_into(task.build()), scored),
        "sparsity": final.sparsity(),
        "file_bytes": file_bytes,
        "compression_ratio": final.compression_ratio(file_bytes),
        "levels": max(len(codebook) for codebook in final.codebooks.values()),
    }


def _constant(step: int) -> float:
    return 1.0
