"""Tensors and entries of a file: which numbers and which matrix of levels stand for a tensor.

A coded tensor becomes a codebook and a matrix of levels. The level of a code is the rank of its
value among the codebook's ascending values, less the rank of code 0: zero weights have level 0,
negative values negative levels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from nnc.pruning.quantised import FLOATS, Quantised
from nnc.storage import context
from nnc.storage.container import AS_IS, CODERS, TIED, TYPES, Entry, File
from nnc.storage.errors import StorageError

Precision = Literal["float32", "float16"]
MOST_LEVELS = 1 << 16
_WORKERS = min(4, os.cpu_count() or 1)  # tensors at a time; compiled loops let others run
_FEW = 256  # distinct values up to which a tensor of the rest is tried with a codebook
_PLAIN = {name: coder for name, coder in CODERS.items() if coder is not context}
_WHOLE = ("int8", "int16", "int32", "int64")
_FLOATS = [str(kind).removeprefix("torch.") for kind in FLOATS]


class _Hints:
    """For the matrix to come: how many non-zeros the one before has in each of its rows.

    The rows of a layer are its units, which are the inputs of the next layer, one or several
    columns each.
    """

    def __init__(self) -> None:
        self._rows: np.ndarray | None = None

    def columns(self, entry: Entry) -> np.ndarray | None:
        """The counts by column of a coded tensor, or None where columns and rows do not fit."""
        columns = _matrix(entry.shape)[1]
        if self._rows is None or entry.count == 0 or columns % len(self._rows):
            return None
        return self._rows.repeat(columns // len(self._rows))

    def take(self, entry: Entry, levels: np.ndarray) -> np.ndarray | None:
        """``columns``, after which this matrix is the one before; not if it is but a row."""
        found = self.columns(entry)
        if len(entry.shape) > 1 and levels.size and entry.book > 1:
            self._rows = np.count_nonzero(levels, axis=1)
        return found


def to_entries(quantised: Quantised, precision: Precision, progress: bool) -> list[Entry]:
    """The entries of a network: coded tensors, then the rest, each in the order it has there.

    Raises:
        StorageError: see ``nnc.storage.dumps``.
    """
    if precision not in ("float32", "float16"):
        raise StorageError(f"precision is {precision!r}, must be 'float32' or 'float16'")
    hints = _Hints()
    heads, jobs = [], []
    with ThreadPoolExecutor(_WORKERS) as pool:
        for name, codes in quantised.codes.items():
            book = quantised.codebooks[name]
            head, levels, bounds = _levels(name, codes.cpu().numpy(), book, precision)
            heads.append(head)
            jobs.append(
                pool.submit(_smallest, levels, bounds, head.shape, hints.take(head, levels))
            )
        bar = tqdm(
            zip(heads, jobs, strict=True), "coding", len(jobs), disable=not progress, leave=False
        )
        found = [(head, *job.result()) for head, job in bar]
    entries = [replace(head, form=form, levels=data) for head, form, data in found]
    entries += [_of_rest(name, t, precision) for name, t in quantised.rest.items()]
    places = {entry.name: place for place, entry in enumerate(entries)}
    empty = [replace(entry, form=TIED, numbers=b"", levels=b"") for entry in entries]
    tied = ((name, places[owner]) for name, owner in quantised.ties.items())
    return entries + [replace(empty[at], name=name, same_as=at) for name, at in tied]


def to_quantised(file: File, progress: bool) -> Quantised:
    """The network of a file's entries.

    Raises:
        StorageError: the bytes of an entry do not fit what its head says.
    """
    codes: dict[str, Tensor] = {}
    books: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    try:
        own = [entry for entry in file.entries if entry.form != TIED]
        for entry, book, numbers in _decoded(own, progress):
            if entry.form == AS_IS:
                rest[entry.name] = _tensor(numbers, entry.kind, entry.shape)
            elif entry.rest:
                rest[entry.name] = _tensor(book[numbers.ravel()], entry.kind, entry.shape)
            else:
                codes[entry.name] = torch.from_numpy(numbers.astype(np.int32))
                books[entry.name] = _tensor(book, entry.kind, book.shape)
        tied = (entry for entry in file.entries if entry.form == TIED)
        ties = {entry.name: file.entries[entry.same_as].name for entry in tied}
        return Quantised(codes, books, rest, ties)
    except StorageError:
        raise
    except ValueError as error:
        raise StorageError(f"the file holds no quantised network ({error})") from None


def _decoded(
    entries: Sequence[Entry], progress: bool
) -> Iterator[tuple[Entry, np.ndarray, np.ndarray]]:
    """Every entry with its codebook and codes, or with nothing and its numbers."""
    hints = _Hints()
    with ThreadPoolExecutor(_WORKERS) as pool:
        # What needs nothing of the matrices before it can be decoded beside them.
        jobs = {e.name: pool.submit(_decode, e, None) for e in entries if not _needs_hints(e)}
        for entry in tqdm(entries, "decoding", disable=not progress, leave=False):
            try:
                job = jobs.pop(entry.name, None)
                book, levels = job.result() if job else _decode(entry, hints.columns(entry))
                if entry.form != AS_IS and not entry.rest:
                    hints.take(entry, levels)
                    order, zero = _ascending(_values(book, entry.kind))
                    levels = order[levels + zero]
                yield entry, book, levels.reshape(entry.shape)
            except StorageError as error:
                pool.shutdown(cancel_futures=True)
                raise StorageError(f"tensor {entry.name!r}: {error}") from None


def _needs_hints(entry: Entry) -> bool:
    return entry.form == "context" and not entry.rest and context.uses_hints(entry.levels)


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


def _levels(
    name: str, codes: np.ndarray, book: Tensor, precision: Precision
) -> tuple[Entry, np.ndarray, tuple[int, int]]:
    """The entry of a coded tensor before its matrix is coded, the matrix, and its bounds."""
    if len(book) > MOST_LEVELS:
        raise StorageError(f"{name!r} has {len(book)} levels, the format has room for 65,536")
    stored, numbers, values = _store_book(name, book, precision)
    levels = signed_levels(codes, values).reshape(_matrix(codes.shape))
    zero = _ascending(values)[1]
    bounds = (-zero, len(values) - 1 - zero)
    kind = str(book.dtype).removeprefix("torch.")
    head = Entry(name, codes.shape, "raw", False, kind, stored, len(book), numbers, b"")
    return head, levels, bounds


def _smallest(
    levels: np.ndarray,
    bounds: tuple[int, int],
    shape: tuple[int, ...],
    hints: np.ndarray | None,
) -> tuple[str, bytes]:
    """The coder with the fewest bytes, and these."""
    if levels.size == 0 or bounds == (0, 0):
        return "raw", b""
    sizes = {name: coder.size(levels, bounds) for name, coder in _PLAIN.items()}
    plain = min(sizes, key=lambda name: sizes[name])
    data = context.encode(levels, bounds, hints=hints, width=_width(shape))
    if len(data) < sizes[plain]:
        return "context", data
    return plain, CODERS[plain].encode(levels, bounds)


def _decode(entry: Entry, hints: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The codebook and the levels of a coded entry, or nothing and the numbers of another."""
    if entry.form == AS_IS:
        return np.empty(0), _numbers(entry, entry.count)
    if not 1 <= entry.book <= MOST_LEVELS:
        raise StorageError(f"a codebook of {entry.book} values, must have 1 to 65,536")
    book, below = _numbers(entry, entry.book), 0
    if not entry.rest:
        values = _values(book, entry.kind)
        if entry.kind not in _FLOATS or not np.isfinite(values).all() or values[0] != 0:
            raise StorageError("the codebook must be floating point, finite, and start with 0")
        below = _ascending(values)[1]
    shape, bounds = _matrix(entry.shape), (-below, entry.book - 1 - below)
    if entry.count == 0 or entry.book == 1:
        return book, np.zeros(shape, dtype=np.int32)
    if entry.form == "context":
        return book, context.decode(entry.levels, shape, bounds, hints=hints)
    return book, CODERS[entry.form].decode(entry.levels, shape, bounds)


def _of_rest(name: str, tensor: Tensor, precision: Precision) -> Entry:
    """A tensor as it is, or coded where it has few distinct values and that is smaller."""
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind not in TYPES:
        raise StorageError(f"{name!r} is of type {kind}, must be one of {', '.join(TYPES)}")
    array = _array(tensor)
    stored, array = _narrowed(name, array, kind, precision)
    plain = Entry(name, array.shape, AS_IS, True, kind, stored, 0, array.tobytes(), b"")
    patterns = array.reshape(-1).view(f"u{array.itemsize}")
    values, codes, counts = np.unique(patterns, return_inverse=True, return_counts=True)
    if not 1 <= len(values) <= _FEW:
        return plain
    # The most frequent value takes the part of zero.
    order = np.argsort(-counts, kind="stable")
    levels = _inverse(order)[codes].reshape(_matrix(array.shape))
    form, data = _smallest(levels, (0, len(values) - 1), array.shape, None)
    coded = Entry(
        name, array.shape, form, True, kind, stored, len(values), values[order].tobytes(), data
    )
    return min(plain, coded, key=lambda entry: entry.size + 4 * (entry.form != AS_IS))


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


def _numbers(entry: Entry, count: int) -> np.ndarray:
    """The numbers of an entry in the type that its tensor has (bfloat16 as bits).

    Raises:
        StorageError: their bytes are too few or too many, or the two types do not go together.
    """
    kind, stored = entry.kind, entry.stored
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


def _matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the matrix that a tensor of this shape is coded as."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def _width(shape: Sequence[int]) -> int:
    """Of the picture or kernel that the columns of a matrix are; 1 where there is none."""
    if len(shape) > 2:
        width = shape[-1]
    else:
        sides = (math.isqrt(_matrix(shape)[1] // channels) for channels in (1, 3))
        fits = (s for s, c in zip(sides, (1, 3), strict=True) if s > 3 and c * s * s == shape[-1])
        width = next(fits, 1) if len(shape) == 2 else 1
    return width if width < context.MARGIN else 1
