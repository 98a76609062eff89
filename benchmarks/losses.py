"""What the distillation loss costs beside torch's own ``kl_div`` and ``cross_entropy``.

    python benchmarks/losses.py                  # half a minute
    OMP_NUM_THREADS=1 python benchmarks/losses.py --rounds 400 --shapes 128x10

Forward and backward, in the plain case: one teacher, all positions count. The two take turns, and
the fastest round of each counts, so that what else the machine does touches both alike. Processor
time, because machines are shared.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

import nnc

TEMPERATURE, ALPHA = 4.0, 0.9
SHAPES = {
    "128x10": ((128, 10), 1),
    "8x1000": ((8, 1000), 1),
    "128x1000": ((128, 1000), 1),
    "pixels": ((2, 21, 64, 64), 1),
    "tokens": ((4, 128, 1000), -1),
}
Loss = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def ours(student: Tensor, teacher: Tensor, labels: Tensor, dim: int) -> Tensor:
    return nnc.distillation_loss(
        student, teacher, labels, temperature=TEMPERATURE, alpha=ALPHA, dim=dim
    )


def torchs(student: Tensor, teacher: Tensor, labels: Tensor, dim: int) -> Tensor:
    if dim != 1:  # as one writes it for tokens
        student, teacher, labels = student.flatten(0, -2), teacher.flatten(0, -2), labels.flatten()
    log_q = functional.log_softmax(student / TEMPERATURE, 1)
    p = functional.softmax(teacher / TEMPERATURE, 1)
    soft = functional.kl_div(log_q, p, reduction="sum") / labels.numel()
    return ALPHA * TEMPERATURE**2 * soft + (1 - ALPHA) * functional.cross_entropy(student, labels)


def seconds(losses: list[Loss], shape: tuple[int, ...], dim: int, rounds: int) -> list[float]:
    """Of the fastest round of each loss, forward and backward."""
    torch.manual_seed(0)
    student, teacher = (3 * torch.randn(2, *shape)).unbind()
    labels = torch.randint(shape[dim], student.select(dim, 0).shape)
    student.requires_grad_()
    repeats = max(1, 20_000 // student.numel())
    fastest = [float("inf")] * len(losses)
    for _ in range(rounds):
        for place, loss in enumerate(losses):
            start = time.process_time()
            for _ in range(repeats):
                student.grad = None
                loss(student, teacher, labels, dim).backward()
            fastest[place] = min(fastest[place], (time.process_time() - start) / repeats)
    return fastest


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=200, help="(default 200)")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    print(f"{torch.get_num_threads()} threads, processor time, fastest of {options.rounds} rounds")
    print("shape       torch µs   ours µs   ratio")
    for name in options.shapes:
        theirs, own = seconds([torchs, ours], *SHAPES[name], options.rounds)
        print(f"{name:10} {theirs * 1e6:>9.0f} {own * 1e6:>9.0f} {own / theirs:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
