"""The relative index: for every non-zero the zeros before it and its level, in fixed bits.

Zeros are counted along the rows. A gap that does not fit its bits is bridged by entries that are
themselves zero; zeros after the last non-zero are left out. Source: Han, Mao and Dally, "Deep
Compression" (2015), section 2 and figure 2.

A byte, the width of a gap; a varint, the number of entries; the gaps, so many bits each, filled to
a byte; the levels less the lowest, in the fewest bits that hold all.
"""

from __future__ import annotations

import math

import numpy as np

from nnc.storage import bits
from nnc.storage.errors import StorageError

WIDTHS = range(9)  # bits of a gap that are tried


def encode(levels: np.ndarray, bounds: tuple[int, int]) -> bytes:
    """The bytes of a matrix of levels, at the best width of a gap; arguments as in ``raw``."""
    gaps, values = gaps_and_values(levels)
    value_width = (bounds[1] - bounds[0]).bit_length()
    width = min(WIDTHS, key=lambda w: count_entries(gaps, w) * (w + value_width))
    gap, value = split(gaps, values, width)
    head = bytes([width]) + bits.varint(len(gap))
    return head + bits.pack(gap, width) + bits.pack(value - bounds[0], value_width)


def decode(data: bytes, shape: tuple[int, int], bounds: tuple[int, int]) -> np.ndarray:
    """The matrix in ``data``, int32, of ``shape``.

    Raises:
        StorageError: the entries do not fit the shape.
    """
    width, count, reader = read_head(data, shape)
    gap = bits.unpack(reader.take(bits.bytes_of(count * width)), count, width)
    value = bits.unpack(reader.rest(), count, (bounds[1] - bounds[0]).bit_length())
    return join(gap, value + bounds[0], shape, bounds)


def gaps_and_values(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zeros before each non-zero, counted along the rows, and the non-zeros."""
    flat = levels.ravel()
    positions = flat.nonzero()[0]
    return np.diff(positions, prepend=-1) - 1, flat[positions]


def count_entries(gaps: np.ndarray, width: int) -> int:
    """Number of entries at a width: one a non-zero, and one for every full span of zeros."""
    return len(gaps) + int((gaps >> width).sum())


def split(gaps: np.ndarray, values: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Gaps below ``2 ** width`` and values, with the bridging entries put in."""
    bridges = gaps >> width
    ends = (bridges + 1).cumsum() - 1
    count = count_entries(gaps, width)
    gap = np.full(count, (1 << width) - 1, dtype=np.int64)
    value = np.zeros(count, dtype=np.int64)
    gap[ends], value[ends] = gaps - (bridges << width), values
    return gap, value


def read_head(data: bytes, shape: tuple[int, int]) -> tuple[int, int, bits.Reader]:
    """Width of a gap and number of entries, checked; and the reader behind them."""
    reader = bits.Reader(data, "the matrix")
    width, count = reader.byte(), reader.varint()
    if width not in WIDTHS or count > math.prod(shape):
        raise StorageError(f"{count} entries with gaps of {width} bits do not fit {shape}")
    return width, count, reader


def join(
    gap: np.ndarray, value: np.ndarray, shape: tuple[int, int], bounds: tuple[int, int]
) -> np.ndarray:
    """The matrix of entries.

    Raises:
        StorageError: they reach beyond the shape or the bounds.
    """
    positions = (gap + 1).cumsum() - 1
    beyond = len(gap) and positions[-1] >= math.prod(shape)
    if beyond or (len(value) and value.max() > bounds[1]):
        raise StorageError(f"an entry does not fit the shape {shape} or the levels {bounds}")
    levels = np.zeros(math.prod(shape), dtype=np.int32)
    levels[positions] = value
    return levels.reshape(shape)
