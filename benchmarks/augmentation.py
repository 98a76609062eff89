"""What augmenting a batch at once saves against torchvision's transforms, one image at a time.

    python benchmarks/augmentation.py

Both sides start from uint8 tensors in memory and end with a batch of uint8. For torchvision the
faster of its two generations of transforms counts. Times are processor time of one thread, the
best of several runs that take turns in one process, so other work on the machine matters little.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision import transforms as first
from torchvision.transforms import v2 as second

from nnc_book import augment

TARGET = 10  # times faster


def crop_and_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    return augment.random_flip(augment.random_crop(images, 4, generator), generator)


def shift(images: Tensor, generator: torch.Generator) -> Tensor:
    return augment.random_shift(images, 2, generator)


def cases(kind: object) -> list[Callable[[Tensor], Tensor]]:
    """The same two augmentations made of one generation's transforms."""
    crop = kind.RandomCrop(32, padding=4, padding_mode="reflect")
    return [kind.Compose([crop, kind.RandomHorizontalFlip()]), kind.RandomCrop(28, padding=2)]


def best(functions: list[Callable[[], Tensor]], repeats: int) -> list[float]:
    """Processor seconds of each function, the best of its runs; they take turns."""
    seconds = [float("inf")] * len(functions)
    for _ in range(repeats):
        for position, function in enumerate(functions):
            began = time.process_time()
            function()
            seconds[position] = min(seconds[position], time.process_time() - began)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256, help="images in a batch")
    parser.add_argument("--repeats", type=int, default=30, help="runs, of which the best counts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    rows = [
        ("crop 4, reflected, and flip", crop_and_flip, (3, 32, 32)),
        ("shift 2, filled with zeros", shift, (1, 28, 28)),
    ]
    print(f"microseconds per image, batches of {arguments.batch}, one thread")
    print(f"{'augmentation':<30}{'images':>10}{'nnc':>8}{'v1':>8}{'v2':>8}{'ratio':>8}")
    for row, (name, ours, shape) in enumerate(rows):
        images = torch.randint(256, (arguments.batch, *shape), dtype=torch.uint8)
        theirs = [cases(kind)[row] for kind in (first, second)]
        seconds = best(
            [
                lambda ours=ours, images=images: ours(images, generator),
                *(lambda f=f, images=images: torch.stack([f(x) for x in images]) for f in theirs),
            ],
            arguments.repeats,
        )
        times = "".join(f"{1e6 * value / arguments.batch:8.1f}" for value in seconds)
        size = "×".join(map(str, shape))
        print(f"{name:<30}{size:>10}{times}{min(seconds[1:]) / seconds[0]:7.0f}×")
    print(f"ratio: the faster of v1 and v2 over nnc; the target is {TARGET}×")


if __name__ == "__main__":
    main()
