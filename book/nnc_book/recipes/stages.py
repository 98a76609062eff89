"""What several recipes do: options of the training loop, stages, storing and scoring.

Where a function takes a job, it reads the settings that are named in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from nnc import make_plain, prunable_weights, storage
from nnc.data import Split, as_input
from nnc.models import count_parameters
from nnc.priors import Beta, Gamma, GaussianMixturePrior, HyperPriors
from nnc.pruning import (
    Quantised,
    SoftWeightSharing,
    code_rest,
    fold_batch_norm,
    freeze,
    sort_units,
    unfreeze,
)
from nnc.training import History, evaluate, fit
from nnc_book.frames import Film
from nnc_book.magnitude import maskable, prune_to, sparsity_after
from nnc_book.networks import count_layers, count_operations
from nnc_book.recipes.job import Histories, Job, Lesson, Metrics, Options, Result, Settings
from nnc_book.removal import fold_empty_units
from nnc_book.teaching import Views, teacher_logits

_STATISTICS = 20  # batches of 128 from which batch norm's statistics are taken anew


def steps(lesson: Lesson, epochs: int) -> int:
    """Number of optimiser steps in so many epochs."""
    return epochs * (len(lesson["train"]) // lesson["batch_size"])


def train(
    job: Job, stage: str, lesson: Lesson, epochs: int, learning_rate: float, weight_decay: float
) -> tuple[nn.Module, History]:
    """A new network, by AdamW and one cycle: a tenth of the steps up to the rate, then down."""
    torch.manual_seed(job.seed)
    model = job.build()
    # One pass over the weights instead of ten: half the time of a step on a processor.
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=steps(lesson, epochs), pct_start=0.1
    )
    options: Options = {"optimiser": optimiser, "scheduler": scheduler, "epochs": epochs}
    return model, fit(model, **lesson, **options, **job.resuming(stage))


def cooling(groups: list[Options], lesson: Lesson, epochs: int, over: float) -> Options:
    """Options of ``nnc.fit``: Adam; the first group's rate falls to 0 over the last share."""
    optimiser = torch.optim.Adam(groups, fused=True)
    total = steps(lesson, epochs)
    factors: list[Callable[[int], float]] = [lambda step: min(1.0, (1 - step / total) / over)]
    factors += [lambda step: 1.0] * (len(groups) - 1)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimiser, factors)
    return {"optimiser": optimiser, "scheduler": scheduler, "epochs": epochs}


def mixture(s: Settings, model: nn.Module) -> GaussianMixturePrior:
    """The prior at the start: means evenly over a range, all components equally wide."""
    return GaussianMixturePrior(
        torch.linspace(-s["mean_range"], s["mean_range"], s["components"]),
        sigma=s["sigma"],
        pi_0=s["pi_0"],
        hyper=HyperPriors(
            zero=Gamma(s["zero_shape"], s["zero_rate"]),
            others=Gamma(s["other_shape"], s["other_rate"]),
            pi_0=Beta(*s["beta"]) if s.get("beta") else None,
        ),
        layers=len(prunable_weights(model)) if s.get("scale_per_layer") else None,
    )


def under_prior(
    job: Job, stage: str, lesson: Lesson, sharing: SoftWeightSharing, film: Film | None = None
) -> History:
    """Train network and mixture together for ``<stage>_epochs``."""
    s, model = job.settings, sharing.model

    def measure(epoch: int) -> dict[str, float]:
        if film:
            film.add(epoch)
        pruned = rebuilt(job, lesson, sharing.quantise())
        return {"pruned_accuracy": evaluate(pruned, lesson["validation"]), **sharing.measure()}

    network = {"params": model.parameters(), "lr": s["weight_learning_rate"]}
    mixture = sharing.parameter_groups(s["mean_learning_rate"], s["mixture_learning_rate"])
    return fit(
        model,
        **lesson,
        # The weights' rate falls at the end; the mixture has to keep following them.
        **cooling([network, *mixture], lesson, s[f"{stage}_epochs"], over=0.3),
        penalty=sharing.penalty,
        prior=sharing,
        after_step=sharing.step,
        measure=measure,
        **job.resuming(stage),
    )


def prune_gradually(job: Job, lesson: Lesson, model: nn.Module) -> History:
    """Prune the smallest weights of all layers, after every epoch a little more, and train on."""
    s, pruned = job.settings, maskable(model)

    def measure(epoch: int) -> dict[str, float]:
        share = epoch / (s["prune_ramp"] * s["prune_epochs"])
        return {"would_be_sparsity": prune_to(pruned, sparsity_after(share, s["target_sparsity"]))}

    network = {"params": model.parameters(), "lr": s["prune_learning_rate"]}
    options = cooling([network], lesson, s["prune_epochs"], over=0.3) | {"measure": measure}
    history = fit(model, **lesson, **options, **job.resuming("prune"))
    make_plain(model)
    return history


def train_and_store(
    job: Job, lesson: Lesson, assigned: Quantised, path: Path, stage: str = "frozen"
) -> tuple[dict[str, float], History]:
    """Train the values, with which weights share one fixed; write the network and read it back.

    Returns:
        What ``store_and_score`` found, and the history.
    """
    s, model = job.settings, freeze(job.build(), assigned)
    network = {"params": model.parameters(), "lr": s["frozen_learning_rate"]}
    options = cooling([network], lesson, s["frozen_epochs"], over=1.0)
    history = fit(model, **lesson, **options, **job.resuming(stage))
    return store_and_score(job, lesson, unfreeze(model), path), history


def finish(
    job: Job, lesson: Lesson, metrics: Metrics, history: Histories, assigned: Quantised,
    *extras: Path,
) -> Result:  # fmt: skip
    """Score what was assigned, then train its values, store and score them: the run's result."""
    shared = rebuilt(job, lesson, assigned)
    metrics["assigned_accuracy"] = evaluate(shared, job.scored(lesson))
    network = job.folder / "network.sws"
    stored, history["frozen"] = train_and_store(job, lesson, assigned, network)
    return job.result(lesson, metrics | stored, history, network, *extras)


def store_and_score(job: Job, lesson: Lesson, trained: Quantised, path: Path) -> dict[str, float]:
    """Fold, sort units, write the network, read it back and score what was read.

    Returns:
        ``<kind>_accuracy``, ``sparsity``, ``file_bytes``, ``compression_ratio``, ``levels``.
    """
    s = job.settings
    plain = fold_batch_norm(trained.load_into(job.build()))
    few = as_input(lesson["validation"].images[:64])
    plain = fold_empty_units(plain, few)
    final = Quantised.from_state_dict(plain.state_dict(), trained.codes)
    final = sort_units(code_rest(final, s["rest_levels"]), job.build(), few)
    storage.save(final, path, precision=s["precision"])
    stored = storage.load(path).load_into(job.build())
    file_bytes = path.stat().st_size
    return {
        f"{job.kind}_accuracy": evaluate(stored, job.scored(lesson)),
        "sparsity": final.sparsity(),
        "file_bytes": file_bytes,
        "compression_ratio": final.compression_ratio(file_bytes),
        "levels": max(len(codebook) for codebook in final.codebooks.values()),
    }


def rebuilt(job: Job, lesson: Lesson, quantised: Quantised) -> nn.Module:
    """A quantised network as a model, its batch norm's statistics taken anew where it has any.

    Weights that were moved at once, by quantising them, leave the statistics behind.
    """
    model = quantised.load_into(job.build())
    images = lesson["train"].images[: _STATISTICS * 128].split(128)
    update_bn((as_input(batch) for batch in images), model)
    return model


def fraction(right: Tensor) -> float:
    """Share of entries that are true."""
    return right.double().mean().item()


def store(model: nn.Module, folder: Path) -> Path:
    """Write a network that is not compressed, its numbers as float16, and return the file."""
    path = folder / "network.sws"
    storage.save(Quantised.from_state_dict(model.state_dict(), ()), path, precision="float16")
    return path


def describe(model: nn.Module) -> dict[str, float]:
    """Size of a network: ``parameters``, ``layers`` and ``operations`` for one image."""
    return {
        "parameters": count_parameters(model),
        "layers": count_layers(model),
        "operations": count_operations(model),
    }


def answers(teacher: nn.Module, job: Job, split: Split, name: str) -> Tensor:
    """A teacher's logits for images as they are, float32, kept under a name in its job's folder."""
    return teacher_logits(teacher, Views(split, 1), job.folder / name, job.progress)[0].float()
