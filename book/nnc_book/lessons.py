"""What a chapter needs from the ones before it, made in seconds, so that any chapter opens first.

All of it is trained on the embedded ``mnist-5k`` with one seed; no conclusion about accuracy may
rest on it. The settings differ from the recorded ones: with n = 4,000 instead of 55,000 a tau of
the same size would pull fourteen times harder, so it is smaller here, and an epoch has 80 steps
instead of 429.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nnc import prunable_weights
from nnc.data import Dataset, load
from nnc.models import LeNet300100
from nnc.priors import GaussianMixturePrior
from nnc.pruning import quantise
from nnc.training import History, evaluate, fit
from nnc_book.frames import joint_counts

SEED = 0
BATCH = 50
DENSE_EPOCHS = 10
CLUSTER_EPOCHS = 14
TAU = 0.03
RAMP = 0.7  # share of the steps over which tau grows
MERGE_THRESHOLD = 0.1


@dataclass(frozen=True)
class Trained:
    """A network after step 1, with its history. ``model`` is a copy that may be changed."""

    model: LeNet300100
    history: History


@dataclass(frozen=True)
class Clustered:
    """A network after step 2.

    ``frames`` are counts of weights by initial (row) and current value after each epoch, frame 0
    before the first; ``means`` and ``sigmas`` are the mixture's at the same times.
    """

    model: LeNet300100
    prior: GaussianMixturePrior
    history: History
    frames: np.ndarray
    means: np.ndarray
    sigmas: np.ndarray


def setup() -> None:
    """Prepare a notebook: one thread, and widgets where Colab has to be asked for them.

    Networks this small gain nothing from a second thread, and lose much where the machine is busy.
    """
    torch.set_num_threads(1)
    if "google.colab" in sys.modules:
        from google.colab import output  # type: ignore[import-not-found]

        output.enable_custom_widget_manager()


@cache
def data() -> Dataset:
    """The embedded 5,000 images: 4,000 to train on, 1,000 to test on."""
    return load("mnist-5k")


def write_folder(path: Path | str) -> None:
    """The same images as files, ``train/<class>/<number>.png`` and ``test/...``; a second or two.

    Args:
        path: an existing folder; it stands in for a reader's own.
    """
    from PIL import Image  # torchvision brings it; only this needs it

    digits = data()
    for part, split in (("train", digits.train), ("test", digits.test)):
        for name in digits.classes:
            Path(path, part, name).mkdir(parents=True)
        for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
            file = Path(path, part, digits.classes[int(label)], f"{number}.png")
            Image.fromarray(image[0].numpy()).save(file)


def trained() -> Trained:
    """LeNet-300-100 after step 1 on the embedded images; about 3 seconds."""
    done = _trained()
    return Trained(copy.deepcopy(done.model), list(done.history))


def clustered() -> Clustered:
    """The same network after step 2; about 10 seconds."""
    done = _clustered()
    model, prior = copy.deepcopy((done.model, done.prior))
    return Clustered(model, prior, list(done.history), done.frames, done.means, done.sigmas)


def make_prior() -> GaussianMixturePrior:
    """The mixture that the live chapters start from."""
    return GaussianMixturePrior(torch.linspace(-0.4, 0.4, 8), sigma=0.1, pi_0=0.99)


def _fit(model: LeNet300100, optimiser: torch.optim.Optimizer, epochs: int, **more: Any) -> History:
    """Train with what both steps have in common."""
    return fit(
        model,
        data().train,
        optimiser=optimiser,
        epochs=epochs,
        batch_size=BATCH,
        validation=data().test,
        seed=SEED,
        progress=False,
        **more,
    )


@cache
def _trained() -> Trained:
    torch.manual_seed(SEED)
    model = LeNet300100()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    return Trained(model, _fit(model, optimiser, DENSE_EPOCHS))


@cache
def _clustered() -> Clustered:
    model, prior = trained().model, make_prior()
    weights = list(prunable_weights(model).values())
    initial = [weight.detach().clone() for weight in weights]
    frames, mixtures = [joint_counts(initial, initial)], [prior.mixture()]

    def penalty(progress: float) -> Tensor:
        return TAU / len(data().train) * min(1.0, progress / RAMP) * prior(weights)

    def measure(_: int) -> dict[str, float]:
        frames.append(joint_counts(initial, weights))
        mixtures.append(prior.mixture())
        pruned = quantise(model, prior)
        accuracy = evaluate(pruned.load_into(LeNet300100()), data().test)
        return {"pruned_accuracy": accuracy, "would_be_sparsity": pruned.sparsity()}

    optimiser = torch.optim.Adam(
        [{"params": model.parameters(), "lr": 1e-3}, *prior.parameter_groups(3e-4, 1e-2)]
    )
    history = _fit(model, optimiser, CLUSTER_EPOCHS, penalty=penalty, prior=prior, measure=measure)
    means, sigmas = (
        np.stack([getattr(m, key).numpy() for m in mixtures]) for key in ("means", "sigmas")
    )
    return Clustered(model, prior, history, np.stack(frames), means, sigmas)
