"""Augmentation of whole batches at once; every function draws from the generator it is given.

A batch is N × C × H × W of any type, usually uint8, and N may be 0; it comes back in its shape and
type. The generator is a CPU one whatever the device of the images, so the same seed draws the same
places everywhere. Images that are no batch, or a number out of range, are a ValueError.
"""

from __future__ import annotations

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
    sides = images.shape[-2:]
    drawn = [_positions(len(images), side, padding, generator) for side in sides]
    rows, columns = (_reflected(s, padding)[p] for s, p in zip(sides, drawn, strict=True))
    return _pick(images, rows, columns)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``pixels`` in both directions and fill with zeros.

    Args:
        images: N × C × H × W.
        pixels: the largest shift, at least 0 and below H and W.
        generator: draws N vertical offsets, then N horizontal ones, from 0 to twice ``pixels``;
            at ``pixels`` an image stays where it is, below it moves down or right.
    """
    _check(images, "pixels", pixels)
    rows, columns = (_positions(len(images), s, pixels, generator) for s in images.shape[-2:])
    return _pick(functional.pad(images, (pixels,) * 4), rows, columns)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half.

    Args:
        images: N × C × H × W.
        generator: draws N numbers in [0, 1); an image below 0.5 is mirrored.
    """
    _check_batch(images)
    count, _, height, width = images.shape
    mirrored = torch.rand((count, 1), generator=generator) < 0.5
    columns = torch.where(mirrored, torch.arange(width).flip(0), torch.arange(width))
    return _pick(images, torch.arange(height).expand(count, -1), columns)


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


def _positions(count: int, side: int, padding: int, generator: torch.Generator) -> Tensor:
    """Positions in a padded side of one window per image, int64, count × side."""
    offset = torch.randint(0, 2 * padding + 1, (count, 1), generator=generator)
    return offset + torch.arange(side)


def _pick(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``images[n, c, rows[n, h], columns[n, w]]``, which indexing in two dimensions does slowly."""
    index = rows[:, None, :, None] * images.shape[3] + columns[:, None, None, :]
    index = index.to(images.device).expand(-1, images.shape[1], -1, -1)
    return images.flatten(2).gather(2, index.flatten(2)).view(index.shape)
