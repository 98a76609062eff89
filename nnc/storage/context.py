"""The context coder: what is near a weight tells how likely each of its values is.

A matrix of signed levels (0 for a zero weight, ±1 for the nearest codebook entries on either
side, and so on) is coded row by row as yes-or-no decisions: is it zero, is it negative, then the
bits of its magnitude. Before each decision several contexts, such as this column so far or the
levels to the left and above, each tell the odds they have seen; the odds are mixed with weights
that are learnt on the way, and the arithmetic coder writes the decision at the mixed probability.
The decoder learns the same from what it has read. The page "File format" of the book specifies
every step; the mixing follows Mahoney, "Adaptive weighing of context models" (2005).
"""

# mypy: disable-error-code="no-untyped-def, call-arg"
from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from nnc.storage.arithmetic import FULL, STATE, decide, decoder, encoder, finish, is_end
from nnc.storage.compiled import compiled, numbers, octets, zeros
from nnc.storage.errors import StorageError

MARGIN = 64  # columns beyond either edge that count as zero; wider neighbourhoods are not offered
_CONTEXTS = 7  # at most, for one decision
_ALL = 7 + 5  # for zeros, and for signs and magnitudes
_SLOTS = 1 << 14  # of each context
_NODES = 64  # places in the tree of magnitudes that have contexts of their own
_KINDS = 1 + _NODES  # of decisions, each with mixing weights of its own
_LIMIT = 4000  # decisions a slot remembers
_FIRST_WEIGHT = 12_000  # in units of 1 / 65,536
_MOST_WEIGHT = 1 << 20
_FIRST_RATE, _LAST_RATE = 1280, 128
_STEEP = 3072  # the largest log odds, in units of log2(odds) / 256: 12 bits
_MOST_PER_BYTE = 1 << 16  # weights: the surest decision takes 1 / 5,700 bit
_TRIAL = 1 << 15  # weights on which the ways of scanning are compared
_LARGE = 1 << 18  # weights above which one context is enough unless the others gain 2 %

# Where things are in the state that the loops share: first the arithmetic coder's, then these.
_SLOT = STATE
_ODDS = _SLOT + _CONTEXTS
_RATE = _ODDS + _CONTEXTS
_WEIGHT = _RATE + _KINDS


class Scan(NamedTuple):
    """How a matrix is walked through and modelled; the encoder chooses, the file says.

    ``transposed``: columns become rows. ``full``: every context is used, else the first alone.
    ``width``: the distance between a column and the one "above" it where columns are pixels of a
    picture or taps of a kernel; 1 where they are neither.
    """

    transposed: bool
    full: bool
    width: int

    @property
    def byte(self) -> int:
        """How the file says it."""
        return 128 * self.transposed + 64 * self.full + self.width

    @classmethod
    def of(cls, byte: int) -> Scan:
        """The scan that a byte of the file says."""
        return cls(byte >= 128, byte & 64 > 0, byte % 64)


def log2_table(count: int, factor: int, offset: int) -> np.ndarray:
    """``floor(256 log2(factor n + offset))`` for n from 0, in whole numbers throughout."""
    table = []
    for n in range(count):
        x = factor * n + offset
        value = x.bit_length() - 1
        x <<= 15 - value
        for _ in range(8):
            x = x * x >> 15
            value = 2 * value + (x >> 16)
            x >>= x >> 16
        table.append(value)
    return np.array(table)


def _squash_table() -> np.ndarray:
    """Probability of a 1 in units of 1 / 65,536 for log odds from -_STEEP to _STEEP."""
    logs = log2_table(4096, 1, 1)  # logs[i] belongs to i + 1
    share = np.arange(1, 4096)
    odds = logs[share - 1] - logs[4095 - share]
    below = np.searchsorted(odds, np.arange(-_STEEP, _STEEP + 1), side="right")
    return 16 * below + 8


def _half_octaves(n: int) -> int:
    """0, 1, 2, 3, 4, 4, 5, 5, 6 for n from 0: two steps from each power of two of n + 1 on."""
    octave = (n + 1).bit_length() - 1
    return 2 * octave + (octave > 0 and (n + 1) >> (octave - 1) & 1)


# Three tables in one array. First, log2 of a count, the count 0 standing for 0.4 (five times the
# count and 2); then the probabilities; then the steps in which numbers up to 4,095 are told apart.
_HALF_OCTAVES = [_half_octaves(n) for n in range(4096)]
_TABLES = np.concatenate([log2_table(_LIMIT + 2, 5, 2), _squash_table(), _HALF_OCTAVES])
_MIDDLE = _LIMIT + 2 + _STEEP  # where the probability of even odds is
_STEPS = _LIMIT + 2 + 2 * _STEEP + 1


def encode(
    levels: np.ndarray, bounds: tuple[int, int], *, hints: np.ndarray | None = None, width: int = 1
) -> bytes:
    """The bytes of a matrix of levels, the first of which says how it was scanned.

    Args:
        levels: int32, rows × columns.
        bounds: the lowest level (0 or negative) and the highest (0 or positive).
        hints: for each column, how many non-zeros the tensor before it has for this input.
        width: of the picture or kernel that the columns are, below 64; 1 where they are neither.
    """
    columns = max(1, min(levels.shape[1], _TRIAL))
    block = levels[: max(1, _TRIAL // columns), :columns]
    block_hints = None if hints is None else hints[:columns]

    @cache
    def tried(scan: Scan) -> bytes:
        return _encode(block, bounds, scan, block_hints)

    def cost(scan: Scan) -> float:
        needed = len(tried(scan))
        return needed * 1.02 if scan.full and levels.size > _LARGE else needed

    best = min([Scan(False, True, w) for w in {1, width}] + [Scan(True, True, 1)], key=cost)
    best = min(best, best._replace(full=False), key=cost)
    whole = block.size == levels.size
    coded = tried(best) if whole else _encode(levels, bounds, best, hints)
    data = bytes([best.byte]) + coded
    # Zeros at the end are left out, be they ever so many weights; a reader wants a byte for some.
    return data.ljust(_least(levels.size), b"\0")


def decode(
    data: bytes | memoryview, shape: tuple[int, int], bounds: tuple[int, int],
    hints: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The matrix in ``data``, int32, of ``shape``; the other arguments as ``encode`` had them.

    Data that cannot hold so many weights, give a level outside the bounds, or have bytes to spare
    are a StorageError.
    """
    data, count = bytes(data), shape[0] * shape[1]
    if not data or data[0] % 64 == 0:
        raise StorageError("the way in which the matrix was scanned is not known")
    if len(data) < _least(count):
        raise StorageError(f"{len(data)} bytes cannot hold {count} weights")
    scan = Scan.of(data[0])
    rows, columns = reversed(shape) if scan.transposed else shape
    flat = zeros(count)
    coder, buffer = decoder(data[1:]), octets(data[1:])
    state = _walk((rows, columns), flat, bounds, scan, hints, coder, buffer)
    if state is None:
        raise StorageError(f"a level lies outside {bounds[0]} to {bounds[1]}")
    if not is_end(state, data[1:]) or (data[-1] == 0 and len(data) > max(1, _least(count))):
        raise StorageError("the arithmetic code does not end where the matrix does")
    levels = np.asarray(flat, dtype=np.int32).reshape(rows, columns)
    return np.ascontiguousarray(levels.T if scan.transposed else levels)


def _least(weights: int) -> int:
    """Bytes that so many weights take at least."""
    return -(-weights // _MOST_PER_BYTE) - 3


def uses_hints(data: bytes) -> bool:
    """Whether ``decode`` needs the hints that ``encode`` had."""
    return Scan.of(data[0]).full


def _encode(
    levels: np.ndarray, bounds: tuple[int, int], scan: Scan, hints: np.ndarray | None
) -> bytes:
    flat = np.ascontiguousarray(levels.T if scan.transposed else levels)
    room = 64 + levels.size * (bounds[1] - bounds[0]).bit_length() // 6
    while True:
        buffer = octets(bytes(room))
        state = _walk(flat.shape, numbers(flat.ravel()), bounds, scan, hints, encoder(), buffer)
        if (data := finish(state, buffer)) is not None:
            return data
        room *= 2


def _walk(shape, flat, bounds, scan, hints, coder, buffer):
    """Code every weight with a new model: the coder's state, None where a level is impossible."""
    rows, columns = shape
    near = np.zeros(rows if scan.transposed else columns)
    if hints is not None:
        near = _TABLES[_STEPS + np.minimum(hints, 4095)]
    by_row, by_column = (near, np.zeros(columns)) if scan.transposed else (np.zeros(rows), near)
    slots, rates = np.zeros(2 * _CONTEXTS), np.full(_KINDS, _FIRST_RATE)
    weights = np.full(_KINDS * _CONTEXTS, _FIRST_WEIGHT)
    state = np.concatenate([np.asarray(coder), slots, rates, weights])
    state, counts = numbers(state), zeros(2 * _ALL * _SLOTS)
    lines = zeros(5 * (columns + 2 * MARGIN))
    used = (7, 5) if scan.full else (1, 1)
    sizes = (rows, columns, scan.width, *bounds, *used)
    hints = numbers(np.concatenate([by_row, by_column]))
    possible = _code(flat, *sizes, hints, lines, state, counts, numbers(_TABLES), buffer)
    return state if possible else None


@compiled
def _mixed(state, counts, tables, buffer, used, kind, bit):
    """Code a decision at the mixed odds of the first slots, and let slots and weights learn it."""
    first = _WEIGHT + kind * _CONTEXTS
    total = 0
    for i in range(used):
        at = 2 * state[_SLOT + i]
        odds = tables[counts[at + 1]] - tables[counts[at]]
        state[_ODDS + i] = odds
        total += odds * state[first + i]
    total = min(max(total >> 16, -_STEEP), _STEEP)
    probability = tables[_MIDDLE + total]
    bit = decide(state, buffer, probability, bit)
    error = ((bit << 16) - probability) * (state[_RATE + kind] >> 4)
    state[_RATE + kind] = max(state[_RATE + kind] - 1, _LAST_RATE)
    for i in range(used):
        weight = state[first + i] + ((state[_ODDS + i] * error) >> 20)
        state[first + i] = min(max(weight, -_MOST_WEIGHT), _MOST_WEIGHT)
        at = 2 * state[_SLOT + i]
        counts[at + bit] += 1
        if counts[at] + counts[at + 1] > _LIMIT:
            counts[at] = (counts[at] + 1) >> 1
            counts[at + 1] = (counts[at + 1] + 1) >> 1
    return bit


@compiled
def _sign(level):
    """0 for zero, 1 below, 2 above."""
    return 1 if level < 0 else (2 if level > 0 else 0)


@compiled
def _zero_contexts(state, lines, tables, edge, width, at, row, gap, hint):
    """Slots 1 to 6 for the question whether a weight is zero."""
    left, above, ones = at, edge + at, 2 * edge + at
    a, d = lines[left - 1], lines[above]
    around = lines[ones - 1] + lines[ones + 1]
    pattern = (
        (a != 0) + 2 * (lines[left - 2] != 0) + 4 * (d != 0)
        + 8 * (lines[above + 1] != 0) + 16 * (lines[above - 1] != 0)
    )  # fmt: skip
    if width > 1:
        b = lines[left - width]
        around += lines[ones - width] + lines[ones + width]
        pattern += (
            32 * (b != 0) + 64 * (lines[left - width + 1] != 0)
            + 128 * (lines[left - width - 1] != 0)
        )  # fmt: skip
    else:
        b = lines[left - 2]
        around *= 2
    state[_SLOT + 1] = _SLOTS + pattern
    state[_SLOT + 2] = 2 * _SLOTS + 16 * (a + 8) + b + 8
    state[_SLOT + 3] = 3 * _SLOTS + 32 * hint + tables[_STEPS + min(lines[ones], 4095)]
    state[_SLOT + 4] = 4 * _SLOTS + 32 * min(gap, 31) + tables[_STEPS + min(around, 4095)]
    state[_SLOT + 5] = 5 * _SLOTS + (row & (_SLOTS - 1))
    state[_SLOT + 6] = 6 * _SLOTS + ((at - MARGIN) & (_SLOTS - 1))


@compiled
def _level(
    state, counts, tables, buffer, used, bits, signed, negative, rest, a, b, d, row_sign,
    column_sign, row_size, column_size,
):  # fmt: skip
    """Code what is known not to be zero: its sign, where there are two, and its magnitude."""
    if signed:
        state[_SLOT] = 7 * _SLOTS + 3 * _sign(a) + _sign(b)
        if used > 1:
            state[_SLOT + 1] = 8 * _SLOTS + 3 * _sign(a) + _sign(d)
            state[_SLOT + 2] = 9 * _SLOTS + row_sign
            state[_SLOT + 3] = 10 * _SLOTS + column_sign
            state[_SLOT + 4] = 11 * _SLOTS
        negative = _mixed(state, counts, tables, buffer, used, 1, negative)
    sizes = 16 * abs(a) + abs(d)
    alike = 16 * (8 - a) + 8 - b if negative else 16 * (8 + a) + 8 + b
    node = 1
    for place in range(bits - 1, -1, -1):
        kept = min(node, _NODES - 1)
        state[_SLOT] = 7 * _SLOTS + 256 * kept + alike
        if used > 1:
            state[_SLOT + 1] = 8 * _SLOTS + 256 * kept + sizes
            state[_SLOT + 2] = 9 * _SLOTS + 256 * kept + row_size
            state[_SLOT + 3] = 10 * _SLOTS + 256 * kept + column_size
            state[_SLOT + 4] = 11 * _SLOTS + 2 * min(node, _SLOTS // 2 - 1) + negative
        bit = _mixed(state, counts, tables, buffer, used, 1 + kept, (rest >> place) & 1)
        node = 2 * node + bit
    size = node - (1 << bits) + 1
    return -size if negative else size


@compiled
def _code(
    flat, rows, columns, width, lowest, highest, zero_used, level_used,
    hints, lines, state, counts, tables, buffer,
):  # fmt: skip
    """The walk itself; the page "File format" says every step in words."""
    largest = max(highest, -lowest)
    bits = 0
    while (1 << bits) < largest:
        bits += 1
    # Lines of numbers by column: levels of this row and of the row before, in steps of -7 to 7;
    # how many were not zero, how large they were lately, and the sign of the last.
    edge = columns + 2 * MARGIN
    above, ones, recent, signs = edge, 2 * edge, 3 * edge, 4 * edge
    back = width if width > 1 else 2
    for row in range(rows):
        row_recent, row_sign, gap = 0, 0, 0
        for at in range(MARGIN, MARGIN + columns):
            place = row * columns + at - MARGIN
            level = flat[place]
            column_size = tables[_STEPS + (lines[recent + at] >> 2)]
            row_size = tables[_STEPS + (row_recent >> 2)]
            state[_SLOT] = 32 * column_size + row_size
            if zero_used > 1:
                hint = hints[row] + hints[rows + at - MARGIN]
                _zero_contexts(state, lines, tables, edge, width, at, row, gap, hint)
            bit = 1 if level != 0 else 0
            gap += 1
            near = 0
            if _mixed(state, counts, tables, buffer, zero_used, 0, bit):
                negative = 1 if level < 0 or highest == 0 else 0
                level = _level(
                    state, counts, tables, buffer, level_used, bits, lowest < 0 < highest,
                    negative, abs(level) - 1, lines[at - 1], lines[at - back], lines[above + at],
                    row_sign, lines[signs + at], row_size, column_size,
                )  # fmt: skip
                if level < lowest or level > highest:
                    return False
                flat[place] = level
                near = 1 + (abs(level) - 1) * 7 // largest if largest > 7 else abs(level)
                row_sign = 1 if level < 0 else 2
                lines[signs + at] = row_sign
                lines[ones + at] += 1
                gap = 0
            # A mean that forgets: each step takes in a thirty-second of what is new.
            lines[recent + at] += ((near << 9) - lines[recent + at]) >> 5
            row_recent += ((near << 9) - row_recent) >> 5
            lines[at] = -near if level < 0 else near
        if state[FULL]:
            return True
        for at in range(MARGIN, MARGIN + columns):
            lines[above + at] = lines[at]
            lines[at] = 0
    return True
