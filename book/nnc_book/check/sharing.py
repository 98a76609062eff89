"""Exercises of the chapters on soft weight-sharing, and of those on both methods together."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from nnc import prunable_weights
from nnc.models import LeNet300100, count_parameters, mini_vgg
from nnc.priors import Mixture
from nnc_book import lessons, published, records
from nnc_book.check.exercise import Exercise, always
from nnc_book.networks import count_operations
from nnc_book.removal import remove_empty_units


def _mixture(means: Any, sigmas: Any, shares: Any) -> Mixture:
    means, sigmas, shares = (
        torch.tensor(values, dtype=torch.float64) for values in (means, sigmas, shares)
    )
    return Mixture(means, 1 / sigmas**2, shares)


def _lesson_mixture(pi_0: float = 0.9) -> Mixture:
    """The mixture that the chapter on priors derives by hand, with a share of zero."""
    rest = (1 - pi_0) / 2
    return _mixture((0.0, -0.3, 0.3), (0.02, 0.05, 0.05), (pi_0, rest, rest))


def _balance(mixture: Mixture) -> float:
    """Where between 0 and 0.3 it pulls neither way."""
    between = torch.linspace(0.01, 0.29, 2801, dtype=torch.float64)
    return float(between[mixture.pull(between).abs().argmin()])


def _at(mixture: Mixture, weight: float) -> float:
    return float(mixture.log_density(torch.tensor([weight], dtype=torch.float64)))


def _cheaper_at_zero() -> float:
    """Nats between the chapter's mixture and the Gaussian of the same variance, at 0."""
    mixture = _lesson_mixture()
    variance = (mixture.proportions * (1 / mixture.precisions + mixture.means**2)).sum()
    gaussian = _mixture((0.0,), (float(variance) ** 0.5,), (1.0,))
    return _at(mixture, 0.0) - _at(gaussian, 0.0)


def _narrowed() -> float:
    """Nats by which a weight at 0.05 gets dearer when the zero component narrows tenfold."""
    wide = lessons.make_prior().mixture()
    precisions = wide.precisions.clone()
    precisions[0] = 1 / 0.01**2
    return _at(wide, 0.05) - _at(Mixture(wide.means, precisions, wide.proportions), 0.05)


def _caught_up() -> int:
    rows = records.read("lenet300-sws")["runs"][0]["history"]["cluster"]
    behind = [row["validation_accuracy"] - row["pruned_accuracy"] for row in rows]
    return 1 + max((i + 1 for i, gap in enumerate(behind) if gap > 0.01), default=0)


def _first_layer() -> float:
    sizes = [weight.numel() for weight in prunable_weights(LeNet300100()).values()]
    return sizes[0] / sum(sizes)


def _left(recipe: str) -> int:
    """Prunable weights of the stored network of seed 0 that are not zero."""
    codes = records.network(recipe).codes.values()
    return sum(int((one != 0).sum()) for one in codes if one.dim() >= 2)


def _bytes(recipe: str) -> float:
    return records.values(recipe, "file_bytes")[0]


def _parameter_ratio(biases: bool) -> float:
    kept = 410 if biases else 0
    return count_parameters(LeNet300100()) / (_left("lenet300-sws") + kept)


def _ends_of_sparsity() -> tuple[str, str]:
    network = records.network("lenet300-sws")
    names = sorted(prunable_weights(LeNet300100()), key=network.sparsity)
    return names[-1], names[0]


def _densest_recipe() -> str:
    """The recipe of LeNet-300-100 with the fewest bytes per weight left."""
    names = [name for name in records.names() if name.startswith("lenet300-")]
    pruned = [name for name in names if "quantised" not in name]
    left = {name: 1 - records.mean(name, "sparsity") for name in pruned}
    return min(pruned, key=lambda name: records.mean(name, "file_bytes") / left[name])


def _per_weight(weights: float, unit: float) -> float:
    return unit * _bytes("mini-vgg-kd-sws") / weights


def _operations() -> tuple[int, int, int]:
    """Multiplications per image: dense, without empty units, without zeros."""
    torch.manual_seed(0)
    dense = records.network("lenet300-sws").load_into(LeNet300100()).eval()
    images: Tensor = torch.rand(256, 1, 28, 28)
    small = remove_empty_units(dense, images[:64])
    return count_operations(dense), count_operations(small), _left("lenet300-sws")


def _order_of_units() -> float:
    """Bytes that the order of LeNet-300-100's hidden units takes."""
    return (math.lgamma(301) + math.lgamma(101)) / math.log(2) / 8


def _students() -> float:
    seconds = {
        name: fmean(run["seconds"] for run in records.read(name)["runs"])
        for name in ("vgg13", "mini-vgg-kd")
    }
    return seconds["vgg13"] / seconds["mini-vgg-kd"]


def _smallest_lenet5() -> str:
    return max(published.results("lenet5"), key=lambda one: one.ratio).method


SHARING = {
    "mixture_prior": {
        1: Exercise(
            lambda: _balance(_lesson_mixture()),
            "Look for the zero of `mixture.pull` between the two humps.",
            ((always(0.15), "Half way would be right for equal widths and shares."),),
        ),
        2: Exercise(
            lambda: _balance(_lesson_mixture(0.999)),
            "The other two components share what is left: half of 1 - pi_0 each.",
            ((lambda: _balance(_lesson_mixture()), "That is where it was before."),),
        ),
        3: Exercise(
            _cheaper_at_zero,
            "Subtract the two log densities at 0.",
            (
                (lambda: -_cheaper_at_zero(), "The other way round: cheaper is a positive number."),
                (lambda: _cheaper_at_zero() / math.log(2), "That is in bits; give nats."),
            ),
        ),
    },
    "train": {
        1: Exercise(
            _first_layer,
            "Weights of the first layer, divided by those of all three; no biases.",
            (
                (lambda: 100 * _first_layer(), "Give a share, from 0 to 1, not percent."),
                (always(1 / 3), "The layers are of very different sizes."),
            ),
        ),
        2: Exercise(
            lambda: 0.98 * 0.02 * (2 / 0.001) ** 2,
            "Two standard errors, 2 sqrt(p (1 - p) / N), are to be 0.001.",
            ((lambda: 0.98 * 0.02 / 0.001**2, "That is for one standard error; take two."),),
        ),
    },
    "cluster": {
        1: Exercise(always("nothing"), "The factor is tau / n, and n counts training examples."),
        2: Exercise(
            _narrowed,
            "Minus the log density at 0.05, after less before.",
            ((lambda: -_narrowed(), "The sign: does the weight get cheaper or dearer?"),),
        ),
        3: Exercise(
            _caught_up,
            "From that epoch on, every one has to be within one point.",
            within=0.001,
        ),
    },
    "prune_quantise": {
        1: Exercise(
            always((5 + 4 + 4, 20)),
            "Rows + 1 pointers, then a column and a value for every non-zero.",
            ((always((12, 20)), "There is one pointer more than there are rows."),),
            within=0.001,
        ),
        2: Exercise(
            always("likelihood"),
            "Which of the two leaves the zero component's large share out?",
        ),
    },
    "storing": {
        1: Exercise(
            always((30, 48, 30)),
            "Bits by Huffman, by fixed width, and the entropy of the message.",
            (
                (always((30, 37, 30)), "Five symbols need three whole bits each."),
                (always((1.875, 3, 1.875)), "That is per symbol; give the whole message."),
            ),
            within=0.001,
        ),
        2: Exercise(
            always(3),
            "Which b needs the fewest bits in all? Count the bridges as well.",
            within=0.001,
        ),
        4: Exercise(
            always((1200, 0)),
            "Raw, every zero takes four bits; sparse rows do not mention zeros.",
            ((always((300, 0)), "A weight takes four bits, not one."),),
            within=0.001,
        ),
    },
    "one_knob": {
        1: Exercise(
            always(math.exp(0.15 * 10)),
            "Ten times the largest factor, exp(0.15), multiplied and not added.",
            ((always(10 * math.exp(0.15)), "Factors multiply."), (always(1.5), "Take exp of it.")),
        ),
        2: Exercise(
            always(100 * math.sqrt(0.02 * 0.98 / 1000)),
            "The deviation of a share p of n images is sqrt(p (1 - p) / n).",
            ((always(math.sqrt(0.02 * 0.98 / 1000)), "In percentage points."),),
            within=0.02,
        ),
    },
    "on_paper": {
        1: Exercise(
            _order_of_units,
            "log2(300!) + log2(100!) bits; math.lgamma(n + 1) is the natural logarithm of n!.",
            (
                (lambda: 8 * _order_of_units(), "That is in bits; give bytes."),
                (lambda: math.log(2) * _order_of_units(), "Logarithms to base 2."),
            ),
        ),
        2: Exercise(
            always(8 * 2953 / 177**2),
            "Bits of the largest file, divided by all modules of version 40.",
            ((always(2953 / 177**2), "A module is a bit, not a byte."),),
        ),
    },
    "sws_results": {
        1: Exercise(
            lambda: _bytes("lenet300-sws") / _left("lenet300-sws"),
            "Bytes of the file, divided by the weights that are not zero.",
            (
                (lambda: 8 * _bytes("lenet300-sws") / _left("lenet300-sws"), "That is in bits."),
                (lambda: _bytes("lenet300-sws") / 266_200, "Divide by the weights that are left."),
            ),
        ),
        2: Exercise(
            _ends_of_sparsity,
            "Ask `final.sparsity` of each of the three.",
            ((lambda: _ends_of_sparsity()[::-1], "The other way round: the sparsest first."),),
        ),
        3: Exercise(
            lambda: _parameter_ratio(biases=True),
            "All parameters, divided by the weights that are not zero and all biases.",
            ((lambda: _parameter_ratio(biases=False), "Biases are parameters as well."),),
            within=0.005,
        ),
    },
    "frontier": {
        1: Exercise(_densest_recipe, "Bytes of the file, divided by the weights that are left."),
    },
    "distil_then_share": {
        1: Exercise(
            lambda: _per_weight(count_parameters(mini_vgg()), 8),
            "Bits of the file, divided by all parameters.",
            ((lambda: _per_weight(count_parameters(mini_vgg()), 1), "Bytes; give bits."),),
        ),
        2: Exercise(
            lambda: _per_weight(_left("mini-vgg-kd-sws"), 8),
            "The same bits, divided by the weights that are not zero.",
            ((lambda: _per_weight(_left("mini-vgg-kd-sws"), 1), "Bytes; give bits."),),
        ),
    },
    "what_sparsity_buys": {
        2: Exercise(
            _operations,
            "`networks.count_operations` for the first two; then count the weights that are left.",
            within=0.001,
        ),
    },
    "your_own_network": {
        3: Exercise(always("7.weight"), "The largest layer has the most to spare."),
    },
    "closing_remarks": {
        2: Exercise(
            _students,
            "Minutes of the teacher's training, divided by a student's.",
            ((lambda: 1 / _students(), "The other way round."),),
        ),
        3: Exercise(_smallest_lenet5, "The largest ratio is the smallest number of bytes."),
    },
}
