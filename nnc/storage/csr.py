"""Compressed sparse rows of a matrix of codes.

Three arrays: ``values``, the non-zero codes row by row; ``columns``, the column of each; and
``pointers``, where in the other two each row begins, with the total at the end. Each array takes
the smallest unsigned type that holds its largest number.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nnc.storage.errors import StorageError

_TYPES = ((torch.uint8, 2**8), (torch.uint16, 2**16), (torch.uint32, 2**32))


def encode(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pointers, columns and values of a matrix.

    Args:
        codes: integers from 0, rows × columns.

    Returns:
        ``pointers`` (rows + 1), ``columns`` and ``values`` (one per non-zero code).

    Raises:
        StorageError: a number is negative or does not fit 32 bits.
    """
    codes = codes.long()
    row, column = codes.nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=len(codes))
    pointers = torch.cat([torch.zeros(1, dtype=torch.long), counts.cumsum(0)])
    return _narrow(pointers), _narrow(column), _narrow(codes[row, column])


def decode(pointers: Tensor, columns: Tensor, values: Tensor, rows: int, width: int) -> Tensor:
    """The matrix of codes, int32, rows × width.

    Raises:
        StorageError: the three arrays do not describe a matrix of that size.
    """
    start, column, value = pointers.long(), columns.long(), values.long()
    lengths = start.diff()
    if start.shape != (rows + 1,) or int(start[0]) != 0 or bool((lengths < 0).any()):
        raise StorageError(f"row pointers do not fit {rows} rows")
    count = int(start[-1])
    if column.shape != (count,) or value.shape != (count,):
        raise StorageError(
            f"{count} non-zeros announced, {len(column)} columns, {len(value)} values"
        )
    if count and int(column.max()) >= width:
        raise StorageError(f"column {int(column.max())} in a matrix of {width} columns")
    row = torch.repeat_interleave(torch.arange(rows), lengths)
    codes = torch.zeros(rows, width, dtype=torch.int32)
    codes[row, column] = value.int()
    return codes


def _narrow(numbers: Tensor) -> Tensor:
    largest = int(numbers.max()) if len(numbers) else 0
    smallest = int(numbers.min()) if len(numbers) else 0
    for kind, limit in _TYPES:
        if smallest >= 0 and largest < limit:
            return numbers.to(kind)
    raise StorageError(f"numbers run from {smallest} to {largest}, must fit 32 bits unsigned")
