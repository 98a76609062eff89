"""The relative index with a canonical Huffman code for gaps and another for values.

A frequent symbol gets a short code. Codes of one length are consecutive numbers in the order of
their symbols, so that the lengths alone tell the code. Sources: Huffman (1952); Han, Mao and
Dally, "Deep Compression" (2015), section 4. With gaps of no bits every weight is an entry: the
usual Huffman code of a dense network.

A byte, the width of a gap, and a varint, the number of entries; then gaps and values, each as: the
length of every symbol's code, five bits each, filled to a byte; a varint, the number of bytes; the
codes of all entries, filled to a byte.
"""

from __future__ import annotations

import heapq

import numpy as np

from nnc.storage import bits
from nnc.storage.bits import Reader
from nnc.storage.compiled import compiled, numbers, octets, zeros
from nnc.storage.errors import StorageError
from nnc_book.coders import relative

_LONGEST = 31  # bits of a code: what five bits can say


def encode(levels: np.ndarray, bounds: tuple[int, int]) -> bytes:
    """The bytes of a matrix of levels, at the best width of a gap; arguments as in ``raw``."""
    gaps, values = relative.gaps_and_values(levels)
    width = _best(gaps, values, bounds)[1]
    gap, value = relative.split(gaps, values, width)
    head = bytes([width]) + bits.varint(len(gap))
    symbols = bounds[1] - bounds[0] + 1
    return head + _encode(gap, 1 << width) + _encode(value - bounds[0], symbols)


def decode(data: bytes, shape: tuple[int, int], bounds: tuple[int, int]) -> np.ndarray:
    """The matrix in ``data``, int32, of ``shape``.

    Raises:
        StorageError: the codes are no Huffman codes, or the entries do not fit the shape.
    """
    width, count, reader = relative.read_head(data, shape)
    gap = _decode(reader, count, 1 << width)
    value = _decode(reader, count, bounds[1] - bounds[0] + 1) + bounds[0]
    if reader.rest():
        raise StorageError("the matrix is followed by other bytes")
    return relative.join(gap, value, shape, bounds)


def code_lengths(counts: np.ndarray) -> np.ndarray:
    """Length in bits of each symbol's code; 0 for symbols that do not occur, or for the only one.

    Args:
        counts: how often each symbol occurs.
    """
    while (lengths := _lengths(counts)).max(initial=0) > _LONGEST:
        counts = (counts + 1) // 2  # flatter counts, shorter codes; those of 0 stay 0
    return lengths


def _lengths(counts: np.ndarray) -> np.ndarray:
    lengths = np.zeros(len(counts), dtype=np.int64)
    heap = [(int(counts[s]), int(s), [int(s)]) for s in np.flatnonzero(counts)]
    heapq.heapify(heap)
    while len(heap) > 1:
        rare, name, some = heapq.heappop(heap)
        common, _, others = heapq.heappop(heap)
        lengths[some + others] += 1
        heapq.heappush(heap, (rare + common, name, some + others))
    return lengths


def _canonical(lengths: np.ndarray) -> np.ndarray:
    """The symbols that have codes, shorter codes first."""
    symbols = np.flatnonzero(lengths)
    return symbols[np.argsort(lengths[symbols], kind="stable")]


def _codes(lengths: np.ndarray) -> np.ndarray:
    """The canonical code of each symbol."""
    codes = np.zeros(len(lengths), dtype=np.int64)
    code, before = 0, 0
    for symbol in _canonical(lengths):
        code <<= int(lengths[symbol]) - before
        codes[symbol], before = code, int(lengths[symbol])
        code += 1
    return codes


def _best(gaps: np.ndarray, values: np.ndarray, bounds: tuple[int, int]) -> tuple[int, int]:
    """Number of bytes at the best width of a gap, and that width."""
    often = np.bincount(gaps)
    sizes = np.flatnonzero(often)
    often = often[sizes]
    value_counts = np.bincount(values - bounds[0], minlength=bounds[1] - bounds[0] + 1)

    def needed(width: int) -> int:
        bridges = int(often @ (sizes >> width))
        gap_counts = np.bincount(sizes & ((1 << width) - 1), often, 1 << width).astype(np.int64)
        gap_counts[-1] += bridges
        all_values = value_counts.copy()
        all_values[-bounds[0]] += bridges
        head = 1 + len(bits.varint(len(gaps) + bridges))
        return head + _bytes(gap_counts) + _bytes(all_values)

    return min((needed(width), width) for width in relative.WIDTHS)


def _bytes(counts: np.ndarray) -> int:
    """Number of bytes of the table and of symbols that occur so often."""
    data = bits.bytes_of(int(counts @ code_lengths(counts)))
    return bits.bytes_of(5 * len(counts)) + len(bits.varint(data)) + data


def _encode(symbols: np.ndarray, alphabet: int) -> bytes:
    """The table of an alphabet and the symbols in its code."""
    lengths = code_lengths(np.bincount(symbols, minlength=alphabet))
    length, code = lengths[symbols], _codes(lengths)[symbols]
    ends = length.cumsum()
    places = np.zeros(int(ends[-1]) if len(ends) else 0, dtype=np.uint8)
    for back in range(int(length.max(initial=0))):
        long = length > back
        places[ends[long] - 1 - back] = code[long] >> back & 1
    data = np.packbits(places).tobytes()
    # Which is the only symbol has to be said, since its code has no bits.
    only = np.unique(symbols)[: 0 if lengths.any() else None]
    table = lengths if len(only) == 0 else (np.arange(alphabet) == only[0]).astype(np.int64)
    return bits.pack(table, 5) + bits.varint(len(data)) + data


def _decode(reader: Reader, count: int, alphabet: int) -> np.ndarray:
    """``count`` symbols of an alphabet, int64."""
    lengths = bits.unpack(reader.take(bits.bytes_of(5 * alphabet)), alphabet, 5)
    data = bytes(reader.take(reader.varint()))
    order = _canonical(lengths)
    if len(order) == 1 and not data:
        return np.full(count, order[0])
    per_length = np.bincount(lengths, minlength=_LONGEST + 1)
    per_length[0] = 0
    symbols = zeros(count)
    done = _read(octets(data), numbers(per_length), numbers(order), symbols)
    if not done:
        raise StorageError("the codes are no Huffman codes, or too few")
    return np.asarray(symbols, dtype=np.int64)


@compiled
def _read(data, per_length, order, symbols):  # type: ignore[no-untyped-def]
    """Fill ``symbols``; False where a code is none, or the data are too short."""
    place = 0
    for i in range(len(symbols)):
        code, first, before, found = 0, 0, 0, False
        for length in range(1, len(per_length)):
            if place >= 8 * len(data):
                return False
            code = 2 * code + ((data[place >> 3] >> (7 - (place & 7))) & 1)
            first *= 2
            place += 1
            if code - first < per_length[length]:
                symbols[i] = order[before + code - first]
                found = True
                break
            first += per_length[length]
            before += per_length[length]
        if not found:
            return False
    return True
