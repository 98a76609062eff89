"""Exercises of the chapters on distillation, and of the first one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nnc.data import as_input
from nnc.losses import soft_targets
from nnc.models import LeNet300100, count_parameters, mini_vgg
from nnc_book import records
from nnc_book.check.exercise import Exercise, always


def _parameters() -> int:
    return count_parameters(LeNet300100())


def _said() -> tuple[Tensor, Tensor]:
    """The recorded teacher's logits of the test images, and their labels."""
    kept = records.arrays("vgg13", "answers")
    return torch.tensor(kept["logits"]).float(), torch.tensor(kept["labels"]).long()


def _half_entropy() -> float:
    """The temperature, on a fine scale, whose mean entropy is nearest to half of log2(10)."""
    logits, _ = _said()
    scale = torch.logspace(-0.5, 1.5, 60).tolist()

    def off(temperature: float) -> float:
        soft = soft_targets(logits, temperature)
        bits = -(soft * soft.clamp(min=1e-30).log2()).sum(dim=1)
        return abs(float(bits.mean()) - math.log2(10) / 2)

    return min(scale, key=off)


def _second_choice() -> float:
    logits, labels = _said()
    two = logits.topk(2, dim=1).indices
    missed = two[:, 0] != labels
    return float((two[missed, 1] == labels[missed]).double().mean())


def _second_of_all() -> float:
    logits, labels = _said()
    return float((logits.topk(2, dim=1).indices[:, 1] == labels).double().mean())


def _fewer() -> tuple[float, float]:
    """Times fewer operations and parameters of the student."""
    teacher, small = (records.read(name)["runs"][0]["metrics"] for name in ("vgg13", "mini-vgg"))
    one, other = (teacher[key] / small[key] for key in ("operations", "parameters"))
    return one, other


def _agreement() -> int:
    kept = records.arrays("vgg13", "answers")
    student = records.network("mini-vgg-kd").load_into(mini_vgg()).eval()
    said = torch.tensor(kept["logits"][kept["chosen"]]).float().argmax(1)
    with torch.no_grad():
        found = student(as_input(torch.tensor(kept["thumbnails"]))).argmax(1)
    return int((found == said).sum())


TEACHING = {
    "why_compress": {
        1: Exercise(
            _parameters,
            "Count the parameters; each takes one byte.",
            (
                (lambda: 4 * _parameters(), "That is their size as float32, four bytes each."),
                (always(4), "That is the ratio; how many bytes are left?"),
            ),
            within=0.001,
        ),
        3: Exercise(
            lambda: math.log2(784),
            "How many yes-or-no questions tell 784 columns apart?",
            (
                (always(784), "So many columns there are; how many bits tell them apart?"),
                (lambda: math.log(784), "That is in nats; take the logarithm to base 2."),
            ),
            within=0.05,
        ),
    },
    "dark_knowledge": {
        1: Exercise(
            _half_entropy,
            "The largest entropy of ten classes is log2(10) bits; half of it is what you look for.",
            ((always(1.0), "At T = 1 the teacher is sure of nearly everything."),),
            within=0.08,
        ),
        2: Exercise(always("nothing"), "Write the softmax out: a common factor cancels."),
        3: Exercise(
            _second_choice,
            "Among the images whose largest logit is not the label's, how often is the second?",
            (
                (lambda: 100 * _second_choice(), "Give a share, from 0 to 1, not percent."),
                (_second_of_all, "Divide by the errors, not by all images."),
            ),
        ),
    },
    "teaching": {
        1: Exercise(
            always("yes"),
            "The gradient is T times the difference of two softened distributions; which two?",
        ),
    },
    "kd_results": {
        1: Exercise(
            _fewer,
            "Divide the teacher's operations, and its parameters, by the student's.",
            ((lambda: _fewer()[::-1], "The other way round: multiplications first."),),
            within=0.05,
        ),
        2: Exercise(
            _agreement, "Compare the largest logits of both on all thumbnails.", within=0.001
        ),
    },
    "without_labels": {
        2: Exercise(
            always("no"),
            "It never saw a three and was told so by every label: compare its logits.",
        ),
    },
}
