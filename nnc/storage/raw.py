"""Every level with the same number of bits: the plainest coder, and the floor for the others."""

from __future__ import annotations

import math

import numpy as np

from nnc.storage import bits
from nnc.storage.errors import StorageError


def encode(levels: np.ndarray, bounds: tuple[int, int]) -> bytes:
    """The bytes of a matrix of levels.

    Args:
        levels: int32, rows × columns.
        bounds: the lowest and the highest level there may be; 0 lies between them.
    """
    return bits.pack(levels.ravel() - bounds[0], (bounds[1] - bounds[0]).bit_length())


def decode(data: bytes | memoryview, shape: tuple[int, int], bounds: tuple[int, int]) -> np.ndarray:
    """The matrix in ``data``, int32; a StorageError where they do not fit shape or bounds."""
    width = (bounds[1] - bounds[0]).bit_length()
    levels = bits.unpack(data, math.prod(shape), width) + bounds[0]
    if levels.max(initial=0) > bounds[1]:
        raise StorageError(f"a level lies outside {bounds[0]} to {bounds[1]}")
    return levels.astype(np.int32).reshape(shape)
