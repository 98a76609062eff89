"""Augmentation of whole batches at once; every function draws from the generator it is given."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def random_crop(images: Tensor, padding: int, generator: torch.Generator) -> Tensor:
    """Pad by reflection and cut a window of the old size out, at a place drawn per image.

    Args:
        images: N × C × H × W, any type.
        padding: pixels on every side, at least 0 and below H and W.
        generator: a CPU generator; vertical offsets are drawn first, then horizontal ones.

    Returns:
        Images of the same shape and type.

    Raises:
        ValueError: the padding is out of range.
    """
    if not 0 <= padding < min(images.shape[-2:]):
        raise ValueError(
            f"padding is {padding}, must be at least 0 and below the image side, "
            f"{min(images.shape[-2:])}"
        )
    rows = _reflected(images.shape[-2], padding)
    columns = _reflected(images.shape[-1], padding)
    return _windows(images, rows, columns, padding, generator)


def random_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half.

    Args:
        images: N × C × H × W, any type.
        generator: a CPU generator.

    Returns:
        Images of the same shape and type.
    """
    flip = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(flip.view(-1, 1, 1, 1).to(images.device), images.flip(-1), images)


def random_shift(images: Tensor, pixels: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``pixels`` in both directions and fill with zeros.

    Args:
        images: N × C × H × W, any type.
        pixels: the largest shift, at least 0.
        generator: a CPU generator; vertical offsets are drawn first, then horizontal ones.

    Returns:
        Images of the same shape and type.

    Raises:
        ValueError: the shift is negative.
    """
    if pixels < 0:
        raise ValueError(f"pixels is {pixels}, must be at least 0")
    padded = functional.pad(images, (pixels,) * 4)
    rows = torch.arange(padded.shape[-2])
    columns = torch.arange(padded.shape[-1])
    return _windows(padded, rows, columns, pixels, generator)


def _reflected(side: int, padding: int) -> Tensor:
    """Source positions of a padded side: for side 4 and padding 2, 2 1 0 1 2 3 2 1."""
    position = torch.arange(-padding, side + padding).abs()
    return torch.minimum(position, 2 * (side - 1) - position)


def _windows(
    images: Tensor, rows: Tensor, columns: Tensor, padding: int, generator: torch.Generator
) -> Tensor:
    """One window per image, gathered by row and then by column."""
    count, device = len(images), images.device
    top = torch.randint(0, 2 * padding + 1, (count, 1), generator=generator)
    left = torch.randint(0, 2 * padding + 1, (count, 1), generator=generator)
    height, width = len(rows) - 2 * padding, len(columns) - 2 * padding
    row = rows[top + torch.arange(height)].to(device)
    column = columns[left + torch.arange(width)].to(device)
    everyone = torch.arange(count, device=device)[:, None, None]
    # Channels last while indexing: one gather moves all channels of a pixel together.
    pixels = images.permute(0, 2, 3, 1)[everyone, row[:, :, None], column[:, None, :]]
    return pixels.permute(0, 3, 1, 2).contiguous()
