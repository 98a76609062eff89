"""A second decoder of .sws files, written from the book's page "File format" sentence by sentence.

It shares no code with ``nnc.storage`` and is slow; a difference between the two means that the
page, or the code, is wrong.
"""

import json
import math
import struct
import zlib

TYPES = [
    *("float32", "float16", "float64", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
]
FORMATS = dict(zip(TYPES, "fed?qihbB?", strict=True))
SIZES = dict(zip(TYPES, (4, 2, 8, 2, 8, 4, 2, 1, 1, 1), strict=True))


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data)
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value


class Bits:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, width):
        value = 0
        for _ in range(width):
            value = 2 * value + (self.data[self.at // 8] >> (7 - self.at % 8) & 1)
            self.at += 1
        return value


PIECE = 2**21
WORDS = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]


def decode(data):
    """Name → (form, codes or None, codebook or None, numbers or None), and the metadata."""
    assert data[:4] == b"SWS\2"
    start = Bytes(data[4:])
    length = start.varint()
    end = 4 + start.at + length
    assert struct.unpack("<I", data[end : end + 4])[0] == zlib.crc32(data[:end])
    listed, bodies = Bytes(data[end - length : end]), Bytes(data[end + 4 :])
    metadata = json.loads(listed.take(listed.varint()) or b"{}")
    heads, name = [], b""
    for _ in range(listed.varint()):
        shared = listed.varint()
        name = name[:shared] + listed.take(listed.varint())
        heads.append(head(listed, name))
    assert listed.at == length
    found, order, rows = {}, [], {}
    for place, (name, form, *more) in enumerate(heads):
        order.append(name)
        if form == 4:
            found[name] = found[order[more[0]]]
        else:
            found[name] = tensor(bodies, place, form, *more, rows)
    assert bodies.at == len(bodies.data)
    return found, metadata


def head(listed, name):
    for place, word in enumerate(WORDS):
        name = name.replace(bytes([0xF8 + place]), word.encode())
    form = listed.take(1)[0]
    if form == 4:
        return name.decode(), form, listed.varint()
    hint = listed.varint() if form & 32 else 0
    kinds = listed.take(1)[0]
    shape = [listed.varint() for _ in range(listed.varint())]
    rows, columns = matrix(shape)
    values, lengths = 0, []
    if form % 16:
        values = listed.varint()
        step = max(1, PIECE // max(1, columns))
        count = -(-rows // step) if values > 1 and rows * columns else 0
        lengths = [listed.varint() for _ in range(count)]
    crc = struct.unpack("<I", listed.take(4))[0]
    return (
        name.decode(),
        form & 31,
        hint,
        TYPES[kinds // 16],
        TYPES[kinds % 16],
        shape,
        values,
        lengths,
        crc,
    )


def matrix(shape):
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def tensor(bodies, place, form, hint, kind, stored, shape, count, lengths, crc, rows_of):
    begin = bodies.at
    if form == 0:
        numbers = values(bodies.take(math.prod(shape) * SIZES[stored]), stored)
        assert zlib.crc32(bodies.data[begin : bodies.at]) == crc
        return form, None, None, numbers
    scaled = kind == "float32" and stored.startswith("int")
    book = codebook(bodies.take(4 * scaled + count * SIZES[stored]), count, kind, stored)
    pieces = [bodies.take(length) for length in lengths]
    assert zlib.crc32(bodies.data[begin : bodies.at]) == crc
    order = list(range(len(book)))
    if form < 16:
        order.sort(key=lambda code: (book[code], code))
    low = -order.index(0)
    high = low + len(book) - 1
    rows, columns = matrix(shape)
    hints = None
    if hint:
        before = rows_of[place - hint]
        hints = [before[j // (columns // len(before))] for j in range(columns)]
    step = max(1, PIECE // max(1, columns))
    levels = [] if pieces else [0] * (rows * columns)
    for number, coded in enumerate(pieces):
        here = min(step, rows - number * step)
        if form % 16 == 3:
            levels += context(coded, here, columns, low, high, hints)
        else:
            levels += {1: raw, 2: sparse_rows}[form % 16](coded, here, columns, low, high)
    rows_of[place] = [
        sum(level != 0 for level in levels[r * columns : (r + 1) * columns]) for r in range(rows)
    ]
    return form, [order[level - low] for level in levels], book, None


def values(data, stored):
    if stored == "bfloat16":
        words = struct.unpack(f"<{len(data) // 2}H", data)
        return [struct.unpack("<f", struct.pack("<I", word << 16))[0] for word in words]
    return list(struct.unpack(f"<{len(data) // SIZES[stored]}{FORMATS[stored]}", data))


def codebook(data, count, kind, stored):
    if kind == "float32" and stored.startswith("int"):
        (scale,) = struct.unpack("<f", data[:4])
        steps = values(data[4:], stored)
        assert len(steps) == count
        return [struct.unpack("<f", struct.pack("<f", step * scale))[0] for step in steps]
    return values(data, stored)


def bits_for(most):
    return most.bit_length()


def raw(data, rows, columns, low, high):
    bits = Bits(data)
    return [bits.number(bits_for(high - low)) + low for _ in range(rows * columns)]


def sparse_rows(data, rows, columns, low, high):
    read = Bytes(data)

    def numbers(count, most):
        size = next(s for s in (1, 2, 4, 8) if most < 256**s)
        return [int.from_bytes(read.take(size), "little") for _ in range(count)]

    pointers = numbers(rows + 1, rows * columns)
    where = numbers(pointers[-1], columns - 1)
    what = numbers(pointers[-1], high - low)
    levels = [0] * (rows * columns)
    for row in range(rows):
        for i in range(pointers[row], pointers[row + 1]):
            levels[row * columns + where[i]] = what[i] + low
    return levels


def log2(x):
    v = x.bit_length() - 1
    x = x * 2 ** (15 - v)
    for _ in range(8):
        x = x * x // 2**15
        v = 2 * v
        if x >= 2**16:
            v, x = v + 1, x // 2
    return v


def half_octave(n):
    m = n + 1
    e = m.bit_length() - 1
    return 2 * e + (1 if e > 0 and bin(m)[3] == "1" else 0)


L = [log2(5 * n + 2) for n in range(4002)]
ODDS = sorted(log2(s) - log2(4096 - s) for s in range(1, 4096))
S = [half_octave(n) for n in range(4096)]


def probabilities():
    table, k = {}, 0
    for t in range(-3072, 3073):
        while k < len(ODDS) and ODDS[k] <= t:
            k += 1
        table[t] = 8 + 16 * k
    return table


P = probabilities()


class Model:
    def __init__(self, data):
        self.data, self.range = data + bytes(4), 2**32 - 1
        self.code, self.at = int.from_bytes(self.data[:4].ljust(4, b"\0"), "big"), 4
        self.slots, self.weights, self.rates = {}, {}, {}

    def bit(self, p):
        bound = self.range * p // 65536
        if self.code < bound:
            bit, self.range = 1, bound
        else:
            bit, self.range, self.code = 0, self.range - bound, self.code - bound
        while self.range < 2**24:
            byte = self.data[self.at] if self.at < len(self.data) else 0
            self.range, self.code, self.at = (
                256 * self.range,
                self.code * 256 % 2**32 + byte,
                self.at + 1,
            )
        return bit

    def decide(self, kind, slots):
        weights = self.weights.setdefault(kind, [12000] * 7)
        rate = self.rates.get(kind, 1280)
        counts = [self.slots.setdefault(slot, [0, 0]) for slot in slots]
        odds = [L[ones] - L[zeros] for zeros, ones in counts]
        t = sum(o * w for o, w in zip(odds, weights, strict=False)) >> 16
        p = P[max(-3072, min(3072, t))]
        bit = self.bit(p)
        error = (65536 * bit - p) * (rate >> 4)
        self.rates[kind] = max(128, rate - 1)
        for i, o in enumerate(odds):
            weights[i] = max(-(2**20), min(2**20, weights[i] + (o * error >> 20)))
        for count in counts:
            count[bit] += 1
            if sum(count) > 4000:
                count[:] = [(n + 1) >> 1 for n in count]
        return bit


def context(data, rows, columns, low, high, hints):  # noqa: C901 - as long as the page's walk
    scan, model = data[0], Model(data[1:])
    transposed, full, width = scan >= 128, scan % 128 >= 64, scan % 64
    if transposed:
        rows, columns = columns, rows
    top = max(high, -low)
    bits = next(b for b in range(40) if 2**b >= top)
    above, ones, recent, sign = ([0] * columns for _ in range(4))
    levels = []

    def at(line, place):
        return line[place] if 0 <= place < columns else 0

    def g(x):
        return 0 if x == 0 else 1 if x < 0 else 2

    for r in range(rows):
        here, row_recent, row_sign, gap = [0] * columns, 0, 0, 0
        for j in range(columns):
            u = width if width > 1 else 2
            a, b, d = at(here, j - 1), at(here, j - u), above[j]
            c, rr = S[recent[j] >> 2], S[row_recent >> 2]
            hint = 0 if hints is None else S[min(hints[r if transposed else j], 4095)]
            one = (a != 0) + 2 * (at(here, j - 2) != 0) + 4 * (d != 0)
            one += 8 * (at(above, j + 1) != 0) + 16 * (at(above, j - 1) != 0)
            m = at(ones, j - 1) + at(ones, j + 1)
            if width > 1:
                one += 32 * (b != 0) + 64 * (at(here, j - width + 1) != 0)
                one += 128 * (at(here, j - width - 1) != 0)
                m += at(ones, j - width) + at(ones, j + width)
            else:
                m *= 2
            slots = [
                (0, 32 * c + rr), (1, one), (2, 16 * (a + 8) + b + 8),
                (3, 32 * hint + S[min(ones[j], 4095)]), (4, 32 * min(gap, 31) + S[min(m, 4095)]),
                (5, r % 16384), (6, j % 16384),
            ]  # fmt: skip
            level = 0
            if model.decide(0, slots if full else slots[:1]):
                negative = high == 0
                if low < 0 < high:
                    slots = [
                        (7, 3 * g(a) + g(b)), (8, 3 * g(a) + g(d)), (9, row_sign),
                        (10, sign[j]), (11, 0),
                    ]  # fmt: skip
                    negative = model.decide(1, slots if full else slots[:1])
                node = 1
                for _ in range(bits):
                    q = min(node, 63)
                    alike = 16 * (8 - a) + 8 - b if negative else 16 * (8 + a) + 8 + b
                    slots = [
                        (7, 256 * q + alike), (8, 256 * q + 16 * abs(a) + abs(d)),
                        (9, 256 * q + rr), (10, 256 * q + c),
                        (11, 2 * min(node, 8191) + (1 if negative else 0)),
                    ]  # fmt: skip
                    node = 2 * node + model.decide(1 + q, slots if full else slots[:1])
                size = node - 2**bits + 1
                level = -size if negative else size
                assert low <= level <= high
            levels.append(level)
            f = abs(level)
            if f and top > 7:
                f = 1 + (f - 1) * 7 // top
            here[j] = -f if level < 0 else f
            recent[j] += (512 * f - recent[j]) >> 5
            row_recent += (512 * f - row_recent) >> 5
            gap += 1
            if level:
                ones[j] += 1
                sign[j] = row_sign = 1 if level < 0 else 2
                gap = 0
        above = here
    if transposed:
        levels = [levels[j * columns + i] for i in range(columns) for j in range(rows)]
    return levels
