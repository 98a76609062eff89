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
from typing import TypeVar, get_args

import numpy as np
from torch import Tensor

from nnc.pruning.quantised import Quantised
from nnc.storage import container, context
from nnc.storage.container import AS_IS, CODERS, TIED, Entry, File, in_one_piece, matrix
from nnc.storage.errors import StorageError
from nnc.storage.tensors import Precision, bounds_of, of_codes, of_rest, to_codes, to_tensor

_WORKERS = os.cpu_count() or 1  # tensors at a time; compiled loops let others run

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
    ties: Mapping[str, str],
    precision: Precision,
) -> Iterator[Entry]:
    """The entries of tensors, in their order, coded on all cores; then those that are tied.

    ``work`` leads from a name and what is given with it, in any thread, to codes and a codebook,
    or to the tensor to keep. Precision and errors are those of ``nnc.storage.dumps``.
    """
    if precision not in get_args(Precision):
        raise StorageError(f"precision is {precision!r}, must be 'float32' or 'float16'")

    def prepared(one: tuple[str, One]) -> list[Way]:
        name, found = one[0], work(*one)
        if isinstance(found, Tensor):
            return of_rest(name, found, precision)
        return [of_codes(name, *found, precision)]

    known: dict[str, Entry] = {}
    ways = _hinted(on_all_cores(prepared, given))
    for place, entry in enumerate(on_all_cores(_smallest, ways)):
        yield entry
        known[entry.name] = replace(entry, numbers=b"", pieces=(), hint=0, same_as=place)
    for name, owner in ties.items():
        yield replace(known[owner], name=name, form=TIED)


def _hinted(given: Iterable[list[Way]]) -> Iterator[tuple[list[Way], int, np.ndarray | None]]:
    """Every tensor with the distance to the matrix that hints at it, and its hints by column."""
    rows, before, depth = np.zeros(0, np.int64), 0, 0
    for place, ways in enumerate(given):
        (entry, levels), distance, hints = ways[0], 0, None
        if in_one_piece(entry) and entry.book > 1:
            if 0 < depth < container.MOST_HINTED and levels.shape[1] % len(rows) == 0:
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
    return replace(best, crc=container.checksum(best))


def _coded(entry: Entry, levels: np.ndarray, distance: int, hints: np.ndarray | None) -> Entry:
    """An entry with its matrix in the coder that takes the fewest bytes."""
    if entry.form == AS_IS or levels.size == 0 or entry.book == 1:
        return entry
    bounds, found = bounds_of(entry), list[Entry]()
    for form, coder in CODERS.items():
        more = {"hints": hints, "width": _width(entry.shape)} if form == "context" else {}
        data = tuple(coder.encode(piece, bounds, **more) for piece in _pieces(entry, levels))
        hint = distance if form == "context" and context.uses_hints(data[0]) else 0
        found.append(replace(entry, form=form, pieces=data, hint=hint))
    return min(found, key=lambda entry: entry.coded)


def chains(file: File) -> list[list[int]]:
    """The places of the tensors with values, those together that hint at each other, in order."""
    found: list[list[int]] = []
    known: dict[int, tuple[list[int], int]] = {}  # by place: its chain, and how deep it is there
    for place, entry in enumerate(file.entries):
        if entry.form == TIED:
            continue
        chain, depth = known[place - entry.hint] if entry.hint else ([], 0)
        if depth >= container.MOST_HINTED:
            raise StorageError(f"tensor {entry.name!r} is the end of more than {depth} hints")
        found += [] if chain else [chain]
        chain.append(place)
        known[place] = chain, depth + 1
    return found


def decoded(
    file: File, counts: dict[int, np.ndarray], chain: Sequence[int]
) -> list[Coded | Tensor]:
    """What the tensors of a chain are: codes and codebook, or numbers; a damaged one is named.

    The counts are the non-zeros of each row, by place, of matrices that hint; those of the chain
    come in. Each place stands behind the one that hints at it unless the counts have that.
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


def _pieces(entry: Entry, levels: np.ndarray) -> list[np.ndarray]:
    step = container.rows_of_pieces(entry.shape)
    return [levels[at : at + step] for at in range(0, len(levels), step)]


def _levels(entry: Entry, hints: np.ndarray | None) -> np.ndarray:
    """The matrix of a coded entry, int32."""
    bounds, levels = bounds_of(entry), np.zeros(matrix(entry.shape), dtype=np.int32)
    for piece, data in zip(_pieces(entry, levels), entry.pieces, strict=False):
        if entry.form == "context":
            piece[:] = context.decode(data, piece.shape, bounds, hints=hints)
        else:
            piece[:] = CODERS[entry.form].decode(data, piece.shape, bounds)
    return levels


def to_entries(quantised: Quantised, precision: Precision) -> Iterator[Entry]:
    """The entries of a network: coded tensors, the rest, ties, each in the order it has there."""
    books = quantised.codebooks
    coded = ((name, (codes, books[name])) for name, codes in quantised.codes.items())
    given: list[tuple[str, Coded | Tensor]] = [*coded, *quantised.rest.items()]
    return encoded(given, lambda name, found: found, quantised.ties, precision)


def to_quantised(file: File) -> Quantised:
    """The network of a file's entries."""
    groups = chains(file)
    values: dict[int, Coded | Tensor] = {}
    for chain, found in zip(groups, on_all_cores(partial(decoded, file, {}), groups), strict=True):
        values |= zip(chain, found, strict=True)
    own = {file.entries[place].name: values[place] for place in sorted(values)}
    coded = {name: found for name, found in own.items() if isinstance(found, tuple)}
    rest = {name: found for name, found in own.items() if isinstance(found, Tensor)}
    books = {name: book for name, (_, book) in coded.items()}
    tied = (entry for entry in file.entries if entry.form == TIED)
    ties = {entry.name: file.entries[entry.same_as].name for entry in tied}
    try:
        return Quantised({name: codes for name, (codes, _) in coded.items()}, books, rest, ties)
    except ValueError as error:
        raise StorageError(f"the file holds no quantised network ({error})") from None


def _width(shape: Sequence[int]) -> int:
    """Of the picture or kernel that the columns of a matrix are; 1 where there is none."""
    width = shape[-1] if len(shape) > 2 else 1
    for channels in (1, 3) if len(shape) == 2 and width == 1 else ():
        side = math.isqrt(shape[1] // channels)
        if side > 3 and channels * side * side == shape[1]:
            width = side
    return width if width < context.MARGIN else 1
