"""Images per second of nnc.fit beside a bare loop, and what each trick brings.

    python benchmarks/training.py
    python benchmarks/training.py --network vgg13 --images 1280 --compile

The bare loop has its batches ready in memory, as floating point: what it does is a step, and
nothing else. fit draws an order, crops and mirrors pixels, counts the loss and watches for signals.
Both take the same steps on the same images. Seconds are processor time of one thread, the best of
several runs that take turns in one process, so other work on the machine matters little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import nnc
from nnc.data import Split, as_input
from nnc_book.augment import random_crop, random_flip
from nnc_book.teaching import Views

TARGET = 5  # per cent that fit may be slower
BATCH = 128


def optimiser_of(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        model.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4
    )


def bare(
    model: nn.Module, batches: list[tuple[Tensor, Tensor]], half: bool
) -> Callable[[], object]:
    """One epoch over batches that are ready."""
    optimiser = optimiser_of(model)

    def epoch() -> None:
        model.train()
        for images, labels in batches:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                logits = model(images)
            loss = nn.functional.cross_entropy(logits.float(), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return epoch


def fitted(model: nn.Module, train: Split, **options: object) -> Callable[[], object]:
    """One epoch of nnc.fit, in bfloat16."""
    arguments = {"epochs": 1, "batch_size": BATCH, "precision": "bfloat16", "progress": False}
    return lambda: nnc.fit(model, train, optimiser=optimiser_of(model), **arguments, **options)


def best(epochs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Processor seconds of each epoch, the best of its runs; they take turns, after one unseen."""
    seconds = dict.fromkeys(epochs, float("inf"))
    for turn in range(repeats + 1):
        for name, epoch in epochs.items():
            began = time.process_time()
            epoch()
            if turn:
                seconds[name] = min(seconds[name], time.process_time() - began)
    return seconds


def innermost(model: nn.Module) -> nn.Module:
    return model.to(memory_format=torch.channels_last)


def augment(images: Tensor, draws: torch.Generator) -> Tensor:
    return random_flip(random_crop(images, 4, draws), draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="mini_vgg", choices=["mini_vgg", "vgg13"])
    parser.add_argument("--images", type=int, default=40 * BATCH, help="images of an epoch")
    parser.add_argument("--repeats", type=int, default=3, help="runs, of which the best counts")
    parser.add_argument("--compile", action="store_true", help="torch.compile too; a minute more")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    build = getattr(nnc, given.network)
    pixels = torch.randint(256, (given.images, 3, 32, 32), dtype=torch.uint8)
    train = Split(pixels, torch.randint(10, (given.images,)))
    pieces = zip(train.images.split(BATCH), train.labels.split(BATCH), strict=True)
    batches = [(as_input(images), labels) for images, labels in pieces]
    epochs = {
        "bare loop, float32": bare(build(), batches, half=False),
        "  channels innermost": bare(innermost(build()), batches, half=False),
        "  bfloat16": bare(build(), batches, half=True),
        "  both": bare(innermost(build()), batches, half=True),
        "fit": fitted(build(), train),
        "  crops and mirrors": fitted(build(), train, augment=augment),
        "  fixed views": fitted(build(), train, views=Views(train, 1, crop=4, flip=True)),
    }
    if given.compile:
        compiled = torch.compile(innermost(build()))
        epochs["  both, compiled"] = bare(compiled, batches, half=True)
    seconds = best(epochs, given.repeats)
    print(f"{given.network}, batches of {BATCH}, one thread")
    print(f"{'':<24}{'images/s':>10}{'to both':>10}")
    for name, value in seconds.items():
        slower = f"{100 * (value / seconds['  both'] - 1):+9.1f}%"
        print(f"{name:<24}{given.images / value:10.0f}{slower}")
    print(f"to both: time beside the bare loop with both; fit's target is at most {TARGET}% more")


if __name__ == "__main__":
    main()
