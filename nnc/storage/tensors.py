"""Tensors and entries of a file: which numbers and which matrix of levels stand for a tensor.

A coded tensor becomes a codebook and a matrix of levels. The level of a code is the rank of its
value among the codebook's ascending values, less the rank of code 0: zero weights have level 0,
negative values negative levels.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nnc.pruning.quantised import FLOATS
from nnc.storage.container import AS_IS, TYPES, Entry, matrix
from nnc.storage.errors import StorageError

Precision = Literal["float32", "float16"]
MOST_LEVELS = 1 << 16
_SAMPLE = 1 << 12  # numbers that show whether distinct values are few
_FEW = 256  # distinct values up to which a tensor of the rest is tried with a codebook
_WHOLE = ("int8", "int16", "int32", "int64")
_FLOATS = [str(kind).removeprefix("torch.") for kind in FLOATS]


def of_codes(
    name: str, codes: Tensor, book: Tensor, precision: Precision
) -> tuple[Entry, np.ndarray]:
    """The entry of a coded tensor before its matrix is coded, and the matrix."""
    if len(book) > MOST_LEVELS:
        raise StorageError(f"{name!r} has {len(book)} levels, the format has room for 65,536")
    stored, numbers, values = _store_book(name, book, precision)
    levels = signed_levels(codes.cpu().numpy(), values).reshape(matrix(codes.shape))
    kind = str(book.dtype).removeprefix("torch.")
    return Entry(name, tuple(codes.shape), "raw", False, kind, stored, len(book), numbers), levels


def of_rest(name: str, tensor: Tensor, precision: Precision) -> list[tuple[Entry, np.ndarray]]:
    """The ways to store another tensor: as it is, and by codes if its distinct values are few."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in TYPES:
        raise StorageError(f"{name!r} is of type {kind}, must be one of {', '.join(TYPES)}")
    array = _array(tensor)
    stored, array = _narrowed(name, array, kind, precision)
    plain = Entry(name, array.shape, AS_IS, True, kind, stored, 0, array.tobytes())
    patterns = array.reshape(-1).view(f"u{array.itemsize}")
    if len(np.unique(patterns[:_SAMPLE])) > _FEW:
        return [(plain, patterns)]
    values, codes, counts = np.unique(patterns, return_inverse=True, return_counts=True)
    if not 1 <= len(values) <= _FEW:
        return [(plain, patterns)]
    # The most frequent value takes the part of zero.
    order = np.argsort(-counts, kind="stable")
    levels = _inverse(order)[codes].reshape(matrix(array.shape))
    book = values[order].tobytes()
    coded = Entry(name, array.shape, "raw", True, kind, stored, len(values), book)
    return [(plain, patterns), (coded, levels)]


def bounds_of(entry: Entry) -> tuple[int, int]:
    """The lowest and the highest level that an entry's matrix can have, its codebook checked."""
    if not 1 <= entry.book <= MOST_LEVELS:
        raise StorageError(f"a codebook of {entry.book} values, must have 1 to 65,536")
    below = 0
    if not entry.rest:
        values = _values(numbers_of(entry), entry.kind)
        if entry.kind not in _FLOATS or not np.isfinite(values).all() or values[0] != 0:
            raise StorageError("the codebook must be floating point, finite, and start with 0")
        below = _ascending(values)[1]
    return -below, entry.book - 1 - below


def to_codes(entry: Entry, levels: np.ndarray) -> tuple[Tensor, Tensor]:
    """The codes, int32 in the tensor's shape, and the codebook of a matrix of levels."""
    book = numbers_of(entry)
    if not entry.rest:
        order, zero = _ascending(_values(book, entry.kind))
        levels = order.astype(np.int32)[levels + zero]
    return torch.from_numpy(levels.reshape(entry.shape)), _tensor(book, entry.kind, book.shape)


def to_tensor(entry: Entry) -> Tensor:
    """The tensor of an entry that is as it is."""
    return _tensor(numbers_of(entry), entry.kind, entry.shape)


def signed_levels(codes: np.ndarray, book: np.ndarray) -> np.ndarray:
    """For every code the rank of its value in the codebook, less the rank of code 0; int32."""
    order, zero = _ascending(book)
    return (_inverse(order) - np.int32(zero))[codes]


def _ascending(book: np.ndarray) -> tuple[np.ndarray, int]:
    """The codes by ascending value, equal ones by code, and the place of code 0 among them."""
    order = np.argsort(book, kind="stable")
    return order, int(np.flatnonzero(order == 0)[0])


def _inverse(order: np.ndarray) -> np.ndarray:
    """The place of each number in an order of all of them, int32."""
    places = np.empty(len(order), dtype=np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    return places


def _narrowed(
    name: str, array: np.ndarray, kind: str, precision: Precision
) -> tuple[str, np.ndarray]:
    """The type that numbers have in the file, and the numbers in it."""
    if kind == "float32" and precision == "float16":
        return "float16", _to_half(name, array)
    if kind in _WHOLE:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        fits = (t for t in _WHOLE if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
        stored = next(fits)
        return stored, array.astype(stored)
    return kind, array


def _to_half(name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    if (np.isinf(half) & np.isfinite(array)).any():
        raise StorageError(f"{name!r} has values beyond float16; choose precision 'float32'")
    return half


def _store_book(name: str, tensor: Tensor, precision: Precision) -> tuple[str, bytes, np.ndarray]:
    """The type of a codebook in the file, its bytes, and its values after rounding.

    Evenly spaced values of type float32 are stored as a scale (float32) and whole numbers.
    """
    book, kind = _array(tensor), str(tensor.dtype).removeprefix("torch.")
    if kind != "float32":
        return kind, book.tobytes(), _values(book, kind)
    if (even := _evenly_spaced(book)) is not None:
        scale, steps = even
        stored = next(t for t in _WHOLE if np.abs(steps).max(initial=0) <= np.iinfo(t).max)
        numbers = scale.tobytes() + steps.astype(stored).tobytes()
        if len(numbers) < len(book) * TYPES[precision]:
            return stored, numbers, book
    if precision == "float16":
        half = _to_half(name, book)
        return "float16", half.tobytes(), half.astype(np.float32)
    return "float32", book.tobytes(), book


def _evenly_spaced(book: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """A scale and whole numbers whose products are the book, bit for bit, where there are any."""
    sizes = np.abs(book[book != 0])
    if len(sizes) == 0 or not np.isfinite(sizes).all():
        return None
    scale = sizes.min()
    nearest = np.rint(book.astype(np.float64) / scale)
    if np.abs(nearest).max() >= MOST_LEVELS:
        return None
    steps = nearest.astype(np.int64)
    with np.errstate(over="ignore"):
        same = (steps * np.float64(scale)).astype(np.float32)
    # Bytes tell -0.0, which no whole number gives, from 0.0.
    return (np.array([scale], "<f4"), steps) if same.tobytes() == book.tobytes() else None


def numbers_of(entry: Entry) -> np.ndarray:
    """The numbers of an entry in the type that its tensor has (bfloat16 as bits), checked."""
    kind, stored, count = entry.kind, entry.stored, entry.book or entry.count
    scaled = entry.form != AS_IS and kind == "float32" and stored in _WHOLE
    narrow = (kind, stored) == ("float32", "float16") or (
        kind in _WHOLE and stored in _WHOLE[: _WHOLE.index(kind)]
    )
    if not (kind == stored or narrow or scaled):
        raise StorageError(f"numbers of type {kind} cannot be stored as {stored}")
    data = entry.numbers
    if len(data) != 4 * scaled + count * TYPES[stored]:
        raise StorageError(f"{count} numbers of type {stored} in {len(data)} bytes")
    numbers = np.frombuffer(data[4 * scaled :], _numpy_type(stored))
    if scaled:
        with np.errstate(over="ignore", invalid="ignore"):
            # In float64 the product is exact, so there is one rounding, the same everywhere.
            numbers = numbers * np.frombuffer(data[:4], "<f4").astype(np.float64)
            return numbers.astype(np.float32)
    return numbers.astype(_numpy_type(kind))


def _numpy_type(name: str) -> np.dtype:
    return np.dtype({"bfloat16": "<i2", "bool": "?"}.get(name, name)).newbyteorder("<")


def _array(tensor: Tensor) -> np.ndarray:
    """The numbers of a tensor; NumPy has no bfloat16, whose bits travel as whole numbers."""
    tensor = tensor.detach().cpu().contiguous()
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()


def _values(numbers: np.ndarray, kind: str) -> np.ndarray:
    """The values of numbers, which bfloat16 holds as the upper bits of a float32."""
    return (numbers.astype("<i4") << 16).view("<f4") if kind == "bfloat16" else numbers


def _tensor(numbers: np.ndarray, kind: str, shape: tuple[int, ...]) -> Tensor:
    if kind == "bool" and numbers.view(np.uint8).max(initial=0) > 1:
        raise StorageError("a truth value is neither 0 nor 1")
    tensor = torch.from_numpy(numbers.reshape(shape).copy())
    return tensor.view(torch.bfloat16) if kind == "bfloat16" else tensor
