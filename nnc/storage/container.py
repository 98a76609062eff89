"""The layout of a .sws file: a directory, then what it lists. It knows bytes, not tensors.

The directory says of every tensor what it is, where its bytes are and their checksum, so that a
file is listed without decoding and each tensor is read, and found damaged, by itself.
"""

from __future__ import annotations

import io
import json
import math
import os
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import BinaryIO

from nnc.storage import context, csr, raw
from nnc.storage.bits import Reader, varint
from nnc.storage.errors import StorageError

MAGIC, VERSION = b"SWS", 2
CODERS: dict[str, ModuleType] = {"raw": raw, "csr": csr, "context": context}
# What an entry's first byte says: 0 for numbers as they are, else the coder of its levels, and
# last that it is the same tensor as an entry before.
AS_IS, TIED = "as is", "tied"
_FORMS = (AS_IS, *CODERS, TIED)
_REST, _HINTED = 16, 32  # added where a tensor of the rest was coded; where it has hints
# Types of numbers and their bytes; the place in the list is what the file says.
TYPES = {"float32": 4, "float16": 2, "float64": 8, "bfloat16": 2, "int64": 8, "int32": 4}
TYPES |= {"int16": 2, "int8": 1, "uint8": 1, "bool": 1}
_NAMES = tuple(TYPES)
_MOST_DIMENSIONS = 64
_MOST_SIZE = 1 << 53  # of any number in a file
PIECE = 1 << 21  # weights: a matrix with more is coded in pieces of whole rows, without hints
MOST_HINTED = 16  # matrices one hinting at the next, at most
# Bytes that no UTF-8 has stand for words that most names end in.
_WORDS = (b"weight", b"bias", b"running_mean", b"running_var", b"num_batches_tracked")
_SHORT = {word: bytes([0xF8 + place]) for place, word in enumerate(_WORDS)}


@dataclass(frozen=True)
class Entry:
    """One tensor in the file.

    ``form``: "as is", "tied", or the coder's name. ``rest``: whether it is one of the network's
    rest. ``kind``: the type of its numbers, and ``stored`` the one they have in the file.
    ``book``: how many values the codebook has, 0 where there is none. ``numbers``: the bytes of
    the codebook, or of the whole tensor; ``pieces``: the bytes of the coded matrix, piece by
    piece. ``hint``: how many entries before this one is the matrix that hints at it, 0 for none.
    ``same_as``: for "tied" the place of the entry that it is tied to, whose kind and shape are
    repeated. ``crc``: CRC-32 of its bytes.
    """

    name: str
    shape: tuple[int, ...]
    form: str
    rest: bool
    kind: str
    stored: str
    book: int
    numbers: bytes | memoryview = b""
    pieces: tuple[bytes | memoryview, ...] = ()
    hint: int = 0
    same_as: int = 0
    crc: int = 0

    @property
    def count(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def scalars(self) -> int:
        """Numbers that count as parameters: floating ones, a tied tensor's once."""
        return self.count * (self.form != TIED and "float" in self.kind)

    @property
    def memory(self) -> int:
        """Bytes of the tensor when decoded, codes as int32; a size of 0 counts as 1."""
        least = 0 if self.rest else 4
        return math.prod(map(_one, self.shape)) * max(least, TYPES[self.kind])

    @property
    def coded(self) -> int:
        """Bytes of the coded matrix."""
        return sum(len(piece) for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes in the file, without its share of the directory."""
        return len(self.numbers) + self.coded

    def checked(self) -> Entry:
        """This entry, or an error where its bytes are not those that were written."""
        if checksum(self) != self.crc:
            raise StorageError("the checksum does not fit its bytes; the file is damaged")
        return self


@dataclass(frozen=True)
class File:
    """Everything in a file: its entries in order, its metadata, and its size in bytes."""

    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    size: int

    @property
    def overhead(self) -> int:
        """Bytes that are neither codebooks nor weights: the directory."""
        return self.size - sum(entry.size for entry in self.entries)


def matrix(shape: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the matrix that a tensor of this shape is coded as."""
    return (shape[0], math.prod(shape[1:])) if len(shape) > 1 else (1, math.prod(shape))


def in_one_piece(entry: Entry) -> bool:
    """Whether an entry is a matrix small enough for hints."""
    return 0 < entry.count <= PIECE and entry.form not in (AS_IS, TIED) and not entry.rest


def rows_of_pieces(shape: Sequence[int]) -> int:
    """How many rows each piece of a matrix has; the last may have fewer."""
    return max(1, PIECE // max(1, matrix(shape)[1]))


def checksum(entry: Entry) -> int:
    """CRC-32 of an entry's bytes, the codebook first."""
    crc = zlib.crc32(entry.numbers)
    for piece in entry.pieces:
        crc = zlib.crc32(piece, crc)
    return crc


class Writer:
    """Takes entries one by one; their bytes go to a file, the directory stays in memory.

    Metadata or names that are no texts are a StorageError.
    """

    def __init__(self, metadata: Mapping[str, str], bodies: BinaryIO) -> None:
        pairs = metadata.items() if isinstance(metadata, Mapping) else [(metadata,)]
        if wrong := [part for pair in pairs for part in pair if not isinstance(part, str)]:
            raise StorageError(f"metadata has {wrong[0]!r}, must be texts by name; write str(...)")
        text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True) if metadata else ""
        self._metadata, self._bodies = _text(_utf8(text)), bodies
        self._heads: list[bytes] = []
        self._before = b""

    def add(self, entry: Entry) -> None:
        """One more tensor."""
        if len(entry.shape) > _MOST_DIMENSIONS or math.prod(map(_one, entry.shape)) > _MOST_SIZE:
            most = "at most 64 sizes and 2⁵³ numbers"
            raise StorageError(f"{entry.name!r} has shape {entry.shape}, must have {most}")
        name = _utf8(entry.name)
        for word, short in _SHORT.items():
            name = name.replace(word, short)
        self._heads.append(_head(entry, self._before, name))
        self._before = name
        self._bodies.writelines((entry.numbers, *entry.pieces))

    def directory(self) -> bytes:
        """What stands before the bytes of the tensors."""
        listed = self._metadata + varint(len(self._heads)) + b"".join(self._heads)
        data = MAGIC + bytes([VERSION]) + varint(len(listed)) + listed
        return data + struct.pack("<I", zlib.crc32(data))


def write(entries: Iterable[Entry], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file; errors as of ``Writer``."""
    bodies = io.BytesIO()
    writer = Writer(metadata, bodies)
    for entry in entries:
        writer.add(entry)
    return writer.directory() + bodies.getvalue()


def read(data: bytes | memoryview, max_bytes: int) -> File:
    """The entries of a file, every size checked against the file, all names against ``max_bytes``.

    The bytes of the tensors are not looked at: :meth:`Entry.checked` does. What is no such file,
    or damaged, is a StorageError.
    """
    data = memoryview(data)
    listed, end = _directory(data)
    metadata = _metadata(listed.take(listed.varint()))
    heads: list[tuple[Entry, int, list[int]]] = []
    name, seen, names = b"", set[str](), 0
    for _ in range(listed.varint()):
        head, name = _read_head(listed, name, heads)
        entry = head[0]
        if entry.name in seen:
            raise StorageError(f"the name {entry.name!r} occurs twice")
        seen.add(entry.name)
        # Names share beginnings, so that a short file can have many long ones.
        names += len(entry.name)
        if names > max_bytes:
            raise StorageError(f"the names take more than max_bytes = {max_bytes} bytes")
        heads.append(head)
    if left := len(listed.rest()):
        raise StorageError(f"{left} bytes follow the last tensor in the directory")
    bodies = Reader(data[end:], "the file")
    entries = [
        replace(entry, numbers=bodies.take(n), pieces=tuple(bodies.take(m) for m in sizes))
        for entry, n, sizes in heads
    ]
    if left := len(bodies.rest()):
        raise StorageError(f"{left} bytes follow the last tensor")
    return File(tuple(entries), metadata, len(data))


def _directory(data: memoryview) -> tuple[Reader, int]:
    """A reader of the directory, its checksum having been found right, and where it ends."""
    begin = bytes(data[:4])
    if begin[:3] != MAGIC[: len(begin)] or len(begin) < 4:
        raise StorageError(f"the file begins with {begin[:3]!r}, must begin with {MAGIC!r}")
    if begin[3] != VERSION:
        remedy = "store the network again, or install the release that wrote it"
        raise StorageError(f"version is {begin[3]}, this release reads {VERSION}; {remedy}")
    reader = Reader(data, "the file")
    reader.take(4)
    length = reader.varint()
    start = reader.position
    listed, crc = bytes(reader.take(length)), reader.take(4)
    if zlib.crc32(data[: start + length]) != struct.unpack("<I", crc)[0]:
        raise StorageError("the checksum of the directory does not fit; the file is damaged")
    return Reader(memoryview(listed), "the directory"), reader.position


def _metadata(text: memoryview) -> dict[str, str]:
    try:
        metadata = json.loads(bytes(text).decode() or "{}")
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise StorageError("the metadata must be a JSON object of texts")
    return metadata


def _one(side: int) -> int:
    """A size for bounds: that of 0 counts as 1."""
    return max(side, 1)


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StorageError(f"{text!r} holds half of a surrogate pair, which is no text") from None


def _text(data: bytes) -> bytes:
    return varint(len(data)) + data


def _head(entry: Entry, before: bytes, name: bytes) -> bytes:
    """What the directory says of an entry; its name is told by what differs from that before."""
    shared = len(os.path.commonprefix([before, name]))  # noqa: RUF071 (bytes, not paths)
    form = _FORMS.index(entry.form) + _REST * (entry.rest and entry.form not in (AS_IS, TIED))
    parts = [varint(shared), _text(name[shared:]), bytes([form + _HINTED * (entry.hint > 0)])]
    if entry.form == TIED:
        return b"".join([*parts, varint(entry.same_as)])
    parts += [varint(entry.hint)] if entry.hint else []
    parts += [bytes([16 * _NAMES.index(entry.kind) + _NAMES.index(entry.stored)])]
    parts += map(varint, (len(entry.shape), *entry.shape))
    if entry.form != AS_IS:
        parts += [varint(entry.book), *(varint(len(piece)) for piece in entry.pieces)]
    return b"".join([*parts, struct.pack("<I", checksum(entry))])


def _read_head(
    reader: Reader, before: bytes, heads: Sequence[tuple[Entry, int, list[int]]]
) -> tuple[tuple[Entry, int, list[int]], bytes]:
    """An entry without its bytes, the lengths of these, and its name as the file has it."""
    shared = reader.varint()
    if shared > len(before):
        raise StorageError(f"a name before byte {reader.position} shares more than there is")
    name = long = before[:shared] + reader.take(reader.varint())
    for word, short in _SHORT.items():
        long = long.replace(short, word)
    try:
        text = long.decode()
    except UnicodeDecodeError:
        raise StorageError(f"a name before byte {reader.position} is not UTF-8") from None
    form = reader.byte()
    if form == _FORMS.index(TIED):
        return (_tied(text, reader.varint(), heads), 0, []), name
    plain = form % _REST
    hint = reader.varint() if form & _HINTED else 0
    kinds, dimensions = reader.byte(), reader.varint()
    kind, stored = divmod(kinds, 16)
    known = plain < len(_FORMS) - 1 and form < 3 * _REST and (plain > 0 or form == 0)
    if not known or max(kind, stored) >= len(_NAMES) or dimensions > _MOST_DIMENSIONS:
        raise StorageError(f"{text!r} is of an unknown kind")
    shape = tuple(reader.varint() for _ in range(dimensions))
    entry = Entry(
        text, shape, _FORMS[plain], form & _REST > 0 or plain == 0, _NAMES[kind], _NAMES[stored],
        reader.varint() if plain else 0, hint=hint,
    )  # fmt: skip
    if hint and not (hint <= len(heads) and _hints(heads[-hint][0], entry)):
        raise StorageError(f"{text!r} takes hints from what is no matrix that could give them")
    numbers, pieces = _lengths(entry)
    if pieces > len(reader):
        raise StorageError(f"{text!r} has {pieces} pieces, more than the directory lists")
    sizes = [reader.varint() for _ in range(pieces)]
    (crc,) = struct.unpack("<I", reader.take(4))
    return (replace(entry, crc=crc), numbers, sizes), name


def _lengths(entry: Entry) -> tuple[int, int]:
    """Bytes of the numbers of an entry, and how many pieces its matrix has."""
    if entry.form == AS_IS:
        return entry.count * TYPES[entry.stored], 0
    scaled = entry.kind == "float32" and entry.stored.startswith("int")
    numbers = 4 * scaled + entry.book * TYPES[entry.stored]
    rows = matrix(entry.shape)[0] if entry.count and entry.book > 1 else 0
    return numbers, -(-rows // rows_of_pieces(entry.shape))


def _hints(one: Entry, other: Entry) -> bool:
    """Whether the rows of one entry can hint at the columns of another."""
    fits = len(one.shape) > 1 and in_one_piece(one) and in_one_piece(other)
    return fits and matrix(other.shape)[1] % one.shape[0] == 0


def _tied(name: str, place: int, heads: Sequence[tuple[Entry, int, list[int]]]) -> Entry:
    if place >= len(heads) or heads[place][0].form == TIED:
        raise StorageError(f"{name!r} is tied to tensor {place}, which is none with values")
    return replace(heads[place][0], name=name, form=TIED, same_as=place, hint=0)
