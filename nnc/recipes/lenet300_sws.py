"""Soft weight-sharing of LeNet-300-100: train, cluster, prune and quantise, store.

Plain images, no augmentation, no teacher. Source of the method: Ullrich, Meeds and Welling
(2017); the settings were searched (``nnc search lenet300-sws``) on validation images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nnc import storage
from nnc.data import Split, as_input
from nnc.folding import fold_empty_units
from nnc.kmeans import code_rest
from nnc.models import LeNet300100, prunable_weights
from nnc.priors import Gamma, GaussianMixturePrior, HyperPriors
from nnc.pruning import Rule, freeze, quantise, unfreeze
from nnc.quantised import Quantised
from nnc.recipes.film import Film
from nnc.recipes.job import Job, Outcome, Recipe, digest
from nnc.storage import Precision
from nnc.training import History, evaluate, fit

_STORING = ("rest", "precision")  # settings that no training depends on


@dataclass(frozen=True)
class Settings:
    """Every choice of the recipe. Learning rates are Adam's; shares are fractions of all steps.

    The penalty's weight is ``tau / n`` times a factor that grows from 0 to 1 over the first
    ``ramp`` of the steps, stays, and falls exponentially to ``relief`` over the last ``ease``.
    """

    validation: int = 5000  # training images set aside
    batch_size: int = 128
    dense_epochs: int = 30
    dense_learning_rate: float = 2e-3
    dense_weight_decay: float = 0.1  # decoupled, AdamW
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
    frozen_epochs: int = 15
    frozen_learning_rate: float = 1e-3
    rest_levels: int = 16  # entries of a bias's codebook
    precision: Precision = "float16"  # of codebooks and of biases that are not coded


def run(settings: Settings, job: Job) -> Outcome:
    """Steps 1 to 3 and the file; every stage resumes from its checkpoint in the job's folder."""
    train, validation = job.split(settings.validation)
    stage = _Stage(settings, job, train, validation)
    model, dense_history = _train_dense(stage)
    dense = LeNet300100()
    dense.load_state_dict(model.state_dict())
    prior, cluster_history = _cluster(stage, model)
    assigned = quantise(model, prior, threshold=settings.merge_threshold, by=settings.assign_by)
    frozen_history = _train_frozen(stage, freeze(model, assigned))
    final = compact(settings, unfreeze(model), validation)
    network = job.folder / "network.sws"
    storage.save(final, network, precision=settings.precision)
    kind, scored = job.scored(validation)
    metrics = _score(
        scored,
        kind,
        dense=dense,
        assigned=assigned.load_into(LeNet300100()),
        final=storage.load(network).load_into(LeNet300100()),
    )
    file_bytes = network.stat().st_size
    metrics |= {
        "sparsity": final.sparsity(),
        "file_bytes": file_bytes,
        "compression_ratio": final.compression_ratio(file_bytes),
        "levels": max(len(codebook) for codebook in final.codebooks.values()),
    }
    history = {"dense": dense_history, "cluster": cluster_history, "frozen": frozen_history}
    sizes = job.sizes(train, validation)
    return Outcome(metrics, history, sizes, network, stage.film.save(job.folder / "film.npz"))


def compact(settings: Settings, trained: Quantised, validation: Split) -> Quantised:
    """The same network with idle units emptied and its biases coded, ready for the file."""
    model = trained.load_into(LeNet300100())
    emptied = fold_empty_units(model, as_input(validation.images[:64])).state_dict()
    return code_rest(Quantised.from_state_dict(emptied, trained.codes), settings.rest_levels)


class _Stage:
    """What the stages share: settings, job, splits and the film."""

    def __init__(self, settings: Settings, job: Job, train: Split, validation: Split) -> None:
        self.settings, self.job, self.train, self.validation = settings, job, train, validation
        self.film = Film(job.folder / "frames")

    def fit(self, name: str, model: nn.Module, **arguments: Any) -> History:
        """Train with what all stages have in common, resuming from ``<name>.checkpoint``."""
        job, settings = self.job, self.settings
        path = arguments.pop("checkpoint", job.folder / f"{name}.checkpoint")
        return fit(
            model,
            self.train,
            batch_size=settings.batch_size,
            validation=self.validation,
            seed=job.seed,
            checkpoint=path,
            run=f"{RECIPE.name} {name} on {job.data.fingerprint[:12]}, {arguments.pop('key')}",
            progress=job.progress,
            **arguments,
        )


def _train_dense(stage: _Stage) -> tuple[LeNet300100, History]:
    settings, job = stage.settings, stage.job
    torch.manual_seed(job.seed)
    model = LeNet300100()
    optimiser = torch.optim.AdamW(
        model.parameters(),
        lr=settings.dense_learning_rate,
        weight_decay=settings.dense_weight_decay,
    )
    steps = settings.dense_epochs * (len(stage.train) // settings.batch_size)
    history = stage.fit(
        "dense",
        model,
        optimiser=optimiser,
        epochs=settings.dense_epochs,
        scheduler=torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.dense_learning_rate, total_steps=steps, pct_start=0.1
        ),
        checkpoint=job.dense or job.folder / "dense.checkpoint",
        key=digest(settings, ("dense", "batch", "validation")),
    )
    return model, history


def _cluster(stage: _Stage, model: nn.Module) -> tuple[GaussianMixturePrior, History]:
    settings = stage.settings
    prior = make_prior(settings)
    weights = list(prunable_weights(model).values())
    initial = [weight.detach().clone() for weight in weights]
    stage.film.begin(initial, prior)
    n = len(stage.train)

    def penalty(progress: float) -> Tensor:
        return settings.tau / n * pressure(settings, progress) * prior(weights)

    def measure(epoch: int) -> dict[str, float]:
        pruned = quantise(model, prior)
        stage.film.add(epoch, initial, weights, prior)
        return {
            "pruned_accuracy": evaluate(pruned.load_into(LeNet300100()), stage.validation),
            "would_be_sparsity": pruned.sparsity(),
            "zero_sigma": float(prior.mixture().sigmas[0]),
        }

    optimiser = torch.optim.Adam(
        [
            {"params": model.parameters(), "lr": settings.weight_learning_rate},
            *prior.parameter_groups(settings.mean_learning_rate, settings.mixture_learning_rate),
        ]
    )
    steps = settings.cluster_epochs * (n // settings.batch_size)
    cool = _linear_cooling(steps, over=0.3)
    history = stage.fit(
        "cluster",
        model,
        optimiser=optimiser,
        # The weights' rate falls at the end; the mixture has to keep following them.
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimiser, [cool, _constant, _constant]),
        epochs=settings.cluster_epochs,
        penalty=penalty,
        prior=prior,
        measure=measure,
        key=digest(settings, without=("frozen", "merge", "assign", *_STORING)),
    )
    return prior, history


def _train_frozen(stage: _Stage, model: nn.Module) -> History:
    settings = stage.settings
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.frozen_learning_rate)
    steps = settings.frozen_epochs * (len(stage.train) // settings.batch_size)
    return stage.fit(
        "frozen",
        model,
        optimiser=optimiser,
        scheduler=torch.optim.lr_scheduler.LambdaLR(optimiser, _linear_cooling(steps, over=1.0)),
        epochs=settings.frozen_epochs,
        key=digest(settings, without=_STORING),
    )


def make_prior(settings: Settings) -> GaussianMixturePrior:
    """The mixture at the start: means evenly over a range, all components equally wide."""
    return GaussianMixturePrior(
        torch.linspace(-settings.mean_range, settings.mean_range, settings.components),
        sigma=settings.sigma,
        pi_0=settings.pi_0,
        hyper=HyperPriors(
            zero=Gamma(settings.zero_shape, settings.zero_rate),
            others=Gamma(settings.other_shape, settings.other_rate),
        ),
    )


def pressure(settings: Settings, progress: float) -> float:
    """The factor on ``tau`` after a share of the steps: up, level, and down again."""
    easing = max(0.0, (progress - 1 + settings.ease) / settings.ease) if settings.ease else 0.0
    return min(1.0, progress / settings.ramp) * settings.relief**easing


def _linear_cooling(steps: int, over: float) -> Callable[[int], float]:
    """A learning-rate factor of 1 that falls to 0 over the last share of the steps."""
    return lambda step: min(1.0, (1 - step / steps) / over)


def _constant(step: int) -> float:
    return 1.0


def _score(split: Split, kind: str, **models: nn.Module) -> dict[str, float]:
    """Accuracies of the three networks; the one place where the test set is read."""
    scored = {name: evaluate(model, split) for name, model in models.items()}
    return {
        "dense_accuracy": scored["dense"],
        "assigned_accuracy": scored["assigned"],
        f"{kind}_accuracy": scored["final"],
    }


def suggest(trial: Any) -> Settings:
    """The space of the search: what REFERENCES of the book's design name as the levers."""
    return Settings(
        cluster_epochs=30,
        frozen_epochs=6,
        tau=trial.suggest_float("tau", 0.05, 1.0, log=True),
        ramp=trial.suggest_float("ramp", 0.1, 0.7),
        ease=trial.suggest_float("ease", 0.1, 0.3),
        relief=trial.suggest_float("relief", 0.03, 1.0, log=True),
        pi_0=1 - trial.suggest_float("share_of_others", 1e-6, 1e-2, log=True),
        zero_rate=trial.suggest_float("zero_rate", 0.5, 8.0, log=True),
        weight_learning_rate=trial.suggest_float("weight_learning_rate", 2e-4, 2e-3, log=True),
        mixture_learning_rate=trial.suggest_float("mixture_learning_rate", 1e-3, 1e-2, log=True),
        merge_threshold=trial.suggest_float("merge_threshold", 1e-2, 10.0, log=True),
        frozen_learning_rate=trial.suggest_float("frozen_learning_rate", 2e-4, 2e-3, log=True),
    )


def score(metrics: dict[str, float]) -> float:
    """Validation accuracy, less two points for every point of sparsity missing to 0.981."""
    return metrics["validation_accuracy"] - 2 * max(0.0, 0.981 - metrics["sparsity"])


RECIPE = Recipe(
    name="lenet300-sws",
    summary="soft weight-sharing of LeNet-300-100, plain images, no teacher",
    dataset="mnist",
    model=LeNet300100,
    settings=Settings(),
    run=run,
    suggest=suggest,
    score=score,
)
