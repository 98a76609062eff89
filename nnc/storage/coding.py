"""Networks and entries of a file: every tensor coded by itself, on all cores.

Small matrices have hints: how many non-zeros the matrix before has in each of its rows, which are
units, the inputs of the next layer. Whoever reads a hinted tensor alone reads that one too.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
from torch import Tensor

from nnc.pruning.quantised import Quantised
from nnc.storage import context
from nnc.storage.container import (
    AS_IS,
    CODERS,
    MOST_HINTED,
    TIED,
    Entry,
    File,
    checksum,
    in_one_piece,
    matrix,
    rows_of_pieces,
)  # fmt: skip
from nnc.storage.errors import StorageError
from nnc.storage.tensors import Precision, bounds_of, of_codes, of_rest, to_codes, to_tensor

_WORKERS = os.cpu_count() or 1  # tensors at a time; compiled loops let others run
_PLAIN = {name: coder for name, coder in CODERS.items() if coder is not context}

One = TypeVar("One")
Other = TypeVar("Other")
Coded = tuple[Tensor, Tensor]
Way = tuple[Entry, np.ndarray]


def on_all_cores(task: Callable[[One], Other], given: Iterable[One]) -> Iterator[Other]:
    """The results of a task in order, only a few computed ahead so that memory is bounded."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        ahead: deque[Future[Other]] = deque()
        try:
            for one in given:
                ahead.append(pool.submit(task, one))
                if len(ahead) > _WORKERS:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def encoded(
    given: Iterable[tuple[str, One]],
    work: Callable[[str, One], Coded | Tensor],
    precision: Precision,
) -> Iterator[Entry]:
    """The entries of tensors, in their order, coded on all cores; errors as of ``dumps``.

    Args:
        given: names and tensors.
        work: from these, in any thread, to codes and a codebook, or to the tensor to keep.
        precision: what float32 numbers are rounded to.
    """
    if precision not in ("float32", "float16"):
        raise StorageError(f"precision is {precision!r}, must be 'float32' or 'float16'")

    def prepared(one: tuple[str, One]) -> list[Way]:
        name, found = one[0], work(*one)
        if isinstance(found, Tensor):
            return of_rest(name, found, precision)
        return [of_codes(name, *found, precision)]

    return on_all_cores(_smallest, _hinted(on_all_cores(prepared, given)))


def _hinted(given: Iterable[list[Way]]) -> Iterator[tuple[list[Way], int, np.ndarray | None]]:
    """Every tensor with the distance to the matrix that hints at it, and its hints by column."""
    rows, before, depth = np.zeros(0, np.int64), 0, 0
    for place, ways in enumerate(given):
        (entry, levels), distance, hints = ways[0], 0, None
        if in_one_piece(entry) and entry.book > 1:
            if 0 < depth < MOST_HINTED and levels.shape[1] % len(rows) == 0:
                distance, hints = place - before, rows.repeat(levels.shape[1] // len(rows))
            if len(entry.shape) > 1:
                rows, before = np.count_nonzero(levels, axis=1), place
                depth = depth + 1 if distance else 1
        yield ways, distance, hints


def _smallest(given: tuple[list[Way], int, np.ndarray | None]) -> Entry:
    """The entry with the fewest bytes of all ways and coders."""
    ways, distance, hints = given
    found = [_coded(entry, levels, distance, hints) for entry, levels in ways]
    best = min(found, key=lambda entry: entry.size + 4 * (entry.form != AS_IS))
    return replace(best, crc=checksum(best))


def _coded(entry: Entry, levels: np.ndarray, distance: int, hints: np.ndarray | None) -> Entry:
    """An entry with its matrix in the coder that takes the fewest bytes."""
    if entry.form == AS_IS or levels.size == 0 or entry.book == 1:
        return entry
    bounds, step = bounds_of(entry), rows_of_pieces(entry.shape)
    pieces = [levels[at : at + step] for at in range(0, len(levels), step)]
    sizes = {name: sum(c.size(piece, bounds) for piece in pieces) for name, c in _PLAIN.items()}
    plain = min(sizes, key=lambda name: sizes[name])
    width = _width(entry.shape)
    data = tuple(context.encode(piece, bounds, hints=hints, width=width) for piece in pieces)
    if sum(map(len, data)) < sizes[plain]:
        hint = distance if context.uses_hints(data[0]) else 0
        return replace(entry, form="context", pieces=data, hint=hint)
    return replace(entry, form=plain, pieces=tuple(CODERS[plain].encode(p, bounds) for p in pieces))


def chains(file: File) -> list[list[int]]:
    """The places of the tensors with values, those together that hint at each other, in order."""
    found: list[list[int]] = []
    known: dict[int, tuple[list[int], int]] = {}  # by place: its chain, and how deep it is there
    for place, entry in enumerate(file.entries):
        if entry.form == TIED:
            continue
        chain, depth = known[place - entry.hint] if entry.hint else ([], 0)
        if depth >= MOST_HINTED:
            raise StorageError(f"tensor {entry.name!r} is the end of more than {depth} hints")
        found += [] if chain else [chain]
        chain.append(place)
        known[place] = chain, depth + 1
    return found


def decoded(
    file: File, counts: dict[int, np.ndarray], chain: Sequence[int]
) -> list[Coded | Tensor]:
    """What the tensors of a chain are: codes and codebook, or numbers; errors name the damaged one.

    Args:
        file: the file.
        counts: non-zeros of each row, by place, of matrices that hint; those of the chain come in.
        chain: places, each behind the one that hints at it unless counts have that.
    """
    found: list[Coded | Tensor] = []
    for place in chain:
        entry = file.entries[place]
        try:
            if entry.checked().form == AS_IS:
                found.append(to_tensor(entry))
                continue
            hints = None
            if entry.hint:
                rows = counts[place - entry.hint]
                hints = rows.repeat(matrix(entry.shape)[1] // len(rows))
            levels = _levels(entry, hints)
            if in_one_piece(entry):
                counts[place] = np.count_nonzero(levels, axis=1)
            codes, book = to_codes(entry, levels)
            found.append(book[codes.long()] if entry.rest else (codes, book))
        except StorageError as error:
            raise StorageError(f"tensor {entry.name!r}: {error}") from None
        except ValueError as error:
            raise StorageError(f"tensor {entry.name!r} cannot be decoded ({error})") from None
    return found


def _levels(entry: Entry, hints: np.ndarray | None) -> np.ndarray:
    """The matrix of a coded entry, int32."""
    bounds, shape = bounds_of(entry), matrix(entry.shape)
    levels = np.zeros(shape, dtype=np.int32)
    step = rows_of_pieces(entry.shape)
    for number, data in enumerate(entry.pieces):
        piece = levels[number * step : (number + 1) * step]
        if entry.form == "context":
            piece[:] = context.decode(data, piece.shape, bounds, hints=hints)
        else:
            piece[:] = CODERS[entry.form].decode(data, piece.shape, bounds)
    return levels


def to_entries(quantised: Quantised, precision: Precision) -> Iterator[Entry]:
    """The entries of a network: coded tensors, the rest, ties, each in the order it has there."""
    books = quantised.codebooks
    given: list[tuple[str, Coded | Tensor]] = [
        *((name, (codes, books[name])) for name, codes in quantised.codes.items()),
        *quantised.rest.items(),
    ]
    entries = []
    for entry in encoded(given, lambda name, found: found, precision):
        yield entry
        entries.append(replace(entry, numbers=b"", pieces=()))
    yield from tied(quantised.ties, entries)


def tied(ties: Mapping[str, str], entries: Sequence[Entry]) -> Iterator[Entry]:
    """The entries of names that are tied to those of others."""
    places = {entry.name: place for place, entry in enumerate(entries)}
    for name, owner in ties.items():
        at = places[owner]
        yield replace(entries[at], form=TIED, name=name, same_as=at, hint=0)


def to_quantised(file: File) -> Quantised:
    """The network of a file's entries."""
    groups = chains(file)
    values: dict[int, Coded | Tensor] = {}
    for chain, found in zip(groups, on_all_cores(partial(decoded, file, {}), groups), strict=True):
        values |= zip(chain, found, strict=True)
    own = {file.entries[place].name: values[place] for place in sorted(values)}
    coded = {name: found for name, found in own.items() if isinstance(found, tuple)}
    tied = (entry for entry in file.entries if entry.form == TIED)
    try:
        return Quantised(
            {name: codes for name, (codes, _) in coded.items()},
            {name: book for name, (_, book) in coded.items()},
            {name: found for name, found in own.items() if isinstance(found, Tensor)},
            {entry.name: file.entries[entry.same_as].name for entry in tied},
        )
    except ValueError as error:
        raise StorageError(f"the file holds no quantised network ({error})") from None


def _width(shape: Sequence[int]) -> int:
    """Of the picture or kernel that the columns of a matrix are; 1 where there is none."""
    if len(shape) > 2:
        width = shape[-1]
    else:
        sides = (math.isqrt(matrix(shape)[1] // channels) for channels in (1, 3))
        fits = (s for s, c in zip(sides, (1, 3), strict=True) if s > 3 and c * s * s == shape[-1])
        width = next(fits, 1) if len(shape) == 2 else 1
    return width if width < context.MARGIN else 1
