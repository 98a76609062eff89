"""Augmentation of whole batches at once; every function draws from the generator it is given.

A batch is N × C × H × W of any type, usually uint8, and N may be 0; it comes back in its shape and
type. The generator is a CPU one whatever the device of the images, so the same seed draws the same
places everywhere. Images that are no batch, or a number out of range, are a ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from nnc.hints import check


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad by reflection and cut a window of the old size out, at a place drawn for each image.

    Args:
        images: N × C × H × W.
        padding: pixels on every side, at least 0 and below H and W.
        generator: draws N vertical offsets, then N horizontal ones, from 0 to twice the padding.
    """
    _check(images, "padding", padding)
    rows, columns = (_reflected(side, padding).to(images.device) for side in images.shape[-2:])
    padded = images.index_select(2, rows).index_select(3, columns)
    return _windows(padded, images.shape[-2:], generator)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``pixels`` in both directions and fill with zeros.

    Args:
        images: N × C × H × W.
        pixels: the largest shift, at least 0 and below H and W.
        generator: draws N vertical offsets, then N horizontal ones, from 0 to twice ``pixels``;
            at ``pixels`` an image stays where it is, below it moves down or right.
    """
    _check(images, "pixels", pixels)
    return _windows(functional.pad(images, (pixels,) * 4), images.shape[-2:], generator)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half.

    Args:
        images: N × C × H × W.
        generator: draws N numbers in [0, 1); an image below 0.5 is mirrored.
    """
    _check_batch(images)
    mirrored = torch.rand((len(images), 1, 1, 1), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device), images.flip(3), images)


def _check(images: Tensor, name: str, value: int) -> None:
    _check_batch(images)
    side = min(images.shape[-2:])
    fits = isinstance(value, int) and 0 <= value < side
    check(name, value, fits, f"a whole number from 0 to {side - 1}, below the image side")


def _check_batch(images: Tensor) -> None:
    check("images", images, images.dim() == 4, "images × channels × height × width")


def _reflected(side: int, padding: int) -> Tensor:
    """Where each position of a padded side comes from: 2 1 0 1 2 3 2 1 for side 4, padding 2."""
    position = torch.arange(-padding, side + padding).abs()
    return torch.minimum(position, 2 * (side - 1) - position)


def _windows(padded: Tensor, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """A window of that height and width from each image, its place drawn."""
    windows = padded.unfold(2, size[0], 1).unfold(3, size[1], 1)
    count, places = len(padded), windows.shape[2:4]
    top, left = (torch.randint(side, (count,), generator=generator) for side in places)
    return windows[torch.arange(count), :, top, left]
