"""Compressed sparse rows: for every non-zero its column and its level, and where rows begin.

Three arrays of whole bytes: ``pointers``, ``columns`` and ``values``, the bytes of a number as few
as hold the number of weights, of columns and of levels; the page "File format" says more.
"""

from __future__ import annotations

import math

import numpy as np

from nnc.storage.bits import Reader
from nnc.storage.errors import StorageError


def encode(levels: np.ndarray, bounds: tuple[int, int]) -> bytes:
    """The bytes of a matrix of levels; arguments as in ``nnc.storage.raw``."""
    row, column = levels.nonzero()
    pointers = np.concatenate([[0], np.bincount(row, minlength=len(levels)).cumsum()])
    arrays = (pointers, column, levels[row, column] - bounds[0])
    pairs = zip(arrays, _types(levels.shape, bounds), strict=True)
    return b"".join(array.astype(kind).tobytes() for array, kind in pairs)


def decode(data: bytes | memoryview, shape: tuple[int, int], bounds: tuple[int, int]) -> np.ndarray:
    """The matrix in ``data``, int32; a StorageError where they describe none of that shape."""
    rows, columns = shape
    reader = Reader(data, "the matrix")
    kinds = _types(shape, bounds)
    pointers = _take(reader, kinds[0], rows + 1)
    lengths = np.diff(pointers)
    if pointers[0] != 0 or (lengths < 0).any():
        raise StorageError(f"row pointers do not fit {rows} rows")
    column = _take(reader, kinds[1], int(pointers[-1]))
    value = _take(reader, kinds[2], int(pointers[-1])) + bounds[0]
    if reader.rest():
        raise StorageError("the matrix is followed by other bytes")
    row = np.repeat(np.arange(rows), lengths)
    if (column >= columns).any() or (value > bounds[1]).any() or (value == 0).any():
        raise StorageError(f"a column or level does not fit {columns} columns, {bounds} levels")
    if (np.diff(row * columns + column) <= 0).any():
        raise StorageError("the columns of a row are not in order")
    levels = np.zeros(shape, dtype=np.int32)
    levels[row, column] = value
    return levels


def _types(shape: tuple[int, ...], bounds: tuple[int, int]) -> list[np.dtype]:
    """Of pointers, columns and values: the narrowest that hold their largest numbers."""
    largest = (math.prod(shape), shape[1] - 1, bounds[1] - bounds[0])
    sizes = (next(size for size in (1, 2, 4, 8) if most < 1 << 8 * size) for most in largest)
    return [np.dtype(f"<u{size}") for size in sizes]


def _take(reader: Reader, kind: np.dtype, count: int) -> np.ndarray:
    numbers = np.frombuffer(reader.take(count * kind.itemsize), kind).astype(np.int64)
    if (numbers < 0).any():
        raise StorageError("the matrix has a number beyond 2⁶³")
    return numbers
