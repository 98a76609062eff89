"""The layout of a .sws file: magic, header, payloads, checksum. It knows bytes, not tensors."""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from nnc.storage import context, csr, raw
from nnc.storage.bits import Reader, varint
from nnc.storage.errors import StorageError

MAGIC, VERSION = b"SWS", 1
CODERS: dict[str, ModuleType] = {"raw": raw, "csr": csr, "context": context}
# What an entry's first byte says: 0 for numbers as they are, else the coder of its levels, and
# last that it is the same tensor as an entry before.
AS_IS, TIED = "as is", "tied"
_FORMS = {AS_IS: 0, "raw": 1, "csr": 2, "context": 5, TIED: 6}
_OF_NUMBER = {number: form for form, number in _FORMS.items()}
_REST = 16  # added where a tensor of the rest was coded
# Types of numbers and their bytes; the place in the list is what the file says.
TYPES = {"float32": 4, "float16": 2, "float64": 8, "bfloat16": 2, "int64": 8, "int32": 4}
TYPES |= {"int16": 2, "int8": 1, "uint8": 1, "bool": 1}
_NAMES = tuple(TYPES)
_MOST_DIMENSIONS = 64


@dataclass(frozen=True)
class Entry:
    """One tensor in the file.

    ``form``: "as is", "tied", or the coder's name. ``rest``: whether it is one of the network's
    rest. ``kind``: the type of its numbers, and ``stored`` the one they have in the file.
    ``book``: how many values the codebook has, 0 where there is none. ``numbers``: the bytes of
    the codebook, or of the whole tensor; ``levels``: the bytes of the coded matrix. ``same_as``:
    for "tied" the place of the entry that it is tied to, whose kind and shape are repeated.
    """

    name: str
    shape: tuple[int, ...]
    form: str
    rest: bool
    kind: str
    stored: str
    book: int
    numbers: bytes
    levels: bytes
    same_as: int = 0

    @property
    def count(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes in the file, without its share of the header."""
        return len(self.numbers) + len(self.levels)


@dataclass(frozen=True)
class File:
    """Everything in a file: its entries in order, its metadata, and its size in bytes."""

    entries: tuple[Entry, ...]
    metadata: Mapping[str, str]
    size: int

    @property
    def overhead(self) -> int:
        """Bytes that are neither codebooks nor weights: magic, header, checksum."""
        return self.size - sum(entry.size for entry in self.entries)


def write(entries: Sequence[Entry], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file.

    Raises:
        StorageError: a name or the metadata are no texts.
    """
    pairs = metadata.items() if isinstance(metadata, Mapping) else [(metadata,)]
    if wrong := [part for pair in pairs for part in pair if not isinstance(part, str)]:
        raise StorageError(f"metadata has {wrong[0]!r}, must be texts by name; write str(...)")
    text = json.dumps(dict(metadata), ensure_ascii=False, sort_keys=True) if metadata else ""
    head = [_text(_utf8(text)), varint(len(entries))]
    before = b""
    for entry in entries:
        name = _utf8(entry.name)
        shared = _shared(before, name)
        head.append(_head(entry, shared, name[shared:]))
        before = name
    body = b"".join(entry.numbers + entry.levels for entry in entries)
    data = MAGIC + bytes([VERSION]) + b"".join(head) + body
    return data + struct.pack("<I", zlib.crc32(data))


def read(data: bytes, max_bytes: int) -> File:
    """The entries of a file, every size checked against the file and against ``max_bytes``.

    Raises:
        StorageError: this is no such file, or it is damaged.
    """
    _check_frame(data)
    reader = Reader(data[:-4], "the file")
    reader.take(4)
    metadata = _metadata(reader.take(reader.varint()))
    heads: list[tuple[Entry, int, int]] = []
    name, seen, memory, names = b"", set(), 0, 0
    for _ in range(reader.varint()):
        entry, name, numbers, levels = _read_head(reader, name, heads)
        if entry.name in seen:
            raise StorageError(f"the name {entry.name!r} occurs twice")
        seen.add(entry.name)
        # Names share beginnings, so that a short file can have many long ones.
        names += len(name)
        if names > max_bytes:
            raise StorageError(f"the names take more than max_bytes = {max_bytes} bytes")
        # Sizes are bounded in empty tensors too: 0 counts as 1.
        count = math.prod(max(side, 1) for side in entry.shape) * (entry.form != TIED)
        memory += count * (TYPES[entry.kind] if entry.rest else max(4, TYPES[entry.kind]))
        heads.append((entry, numbers, levels))
    if memory > max_bytes:
        raise StorageError(
            f"the network takes {memory} bytes, allowed are max_bytes = {max_bytes}; "
            "raise max_bytes if you trust the file"
        )
    entries = [replace(e, numbers=reader.take(n), levels=reader.take(m)) for e, n, m in heads]
    if left := len(reader.rest()):
        raise StorageError(f"{left} bytes follow the last tensor")
    return File(tuple(entries), metadata, len(data))


def _check_frame(data: bytes) -> None:
    if data[:3] != MAGIC[: len(data)] or len(data) < 4:
        raise StorageError(f"the file begins with {data[:3]!r}, must begin with {MAGIC!r}")
    if data[3] != VERSION:
        raise StorageError(
            f"version is {data[3]}, this release reads {VERSION}; install a newer nnc-book"
        )
    if len(data) < 8:
        raise StorageError(f"the file has {len(data)} bytes, needs at least 8; it is truncated")
    if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise StorageError("the checksum at the end does not fit; the file is damaged or truncated")


def _metadata(text: bytes) -> dict[str, str]:
    try:
        metadata = json.loads(text.decode() or "{}")
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise StorageError("the metadata must be a JSON object of texts")
    return metadata


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StorageError(f"{text!r} holds half of a surrogate pair, which is no text") from None


def _text(data: bytes) -> bytes:
    return varint(len(data)) + data


def _shared(one: bytes, other: bytes) -> int:
    """Length of the common beginning of two names."""
    same = (a == b for a, b in zip(one, other, strict=False))
    return next((i for i, equal in enumerate(same) if not equal), min(len(one), len(other)))


def _head(entry: Entry, shared: int, suffix: bytes) -> bytes:
    """An entry's head; its name is what it shares with the name before, and the suffix."""
    if entry.form == TIED:
        return varint(shared) + _text(suffix) + bytes([_FORMS[TIED]]) + varint(entry.same_as)
    parts = [
        varint(shared),
        _text(suffix),
        bytes([_FORMS[entry.form] + _REST * (entry.rest and entry.form != AS_IS)]),
        bytes([16 * _NAMES.index(entry.kind) + _NAMES.index(entry.stored)]),
        varint(len(entry.shape)),
        *(varint(side) for side in entry.shape),
    ]
    if entry.form != AS_IS:
        parts += [varint(entry.book), varint(len(entry.numbers)), varint(len(entry.levels))]
    return b"".join(parts)


def _read_head(
    reader: Reader, before: bytes, heads: Sequence[tuple[Entry, int, int]]
) -> tuple[Entry, bytes, int, int]:
    """An entry without its bytes, its name, and the lengths of its two runs of bytes."""
    shared = reader.varint()
    if shared > len(before):
        raise StorageError(f"a name before byte {reader.position} shares more than there is")
    name = before[:shared] + reader.take(reader.varint())
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise StorageError(f"a name before byte {reader.position} is not UTF-8") from None
    form = reader.byte()
    if form == _FORMS[TIED]:
        return _tied(text, reader.varint(), heads), name, 0, 0
    kinds, dimensions = reader.byte(), reader.varint()
    known = form % _REST in _OF_NUMBER and form % _REST != _FORMS[TIED] and form < 2 * _REST
    kind, stored = divmod(kinds, 16)
    if not known or max(kind, stored) >= len(_NAMES) or dimensions > _MOST_DIMENSIONS:
        raise StorageError(f"the tensor before byte {reader.position} is of an unknown kind")
    shape = tuple(reader.varint() for _ in range(dimensions))
    count, book = math.prod(shape), 0
    if form % _REST:
        book, numbers, levels = (reader.varint() for _ in range(3))
    else:
        numbers, levels = count * TYPES[_NAMES[stored]], 0
    entry = Entry(
        text, shape, _OF_NUMBER[form % _REST], form >= _REST or not form % _REST,
        _NAMES[kind], _NAMES[stored], book, b"", b"",
    )  # fmt: skip
    return entry, name, numbers, levels


def _tied(name: str, place: int, heads: Sequence[tuple[Entry, int, int]]) -> Entry:
    if place >= len(heads) or heads[place][0].form == TIED:
        raise StorageError(f"{name!r} is tied to tensor {place}, which is none with values")
    return replace(heads[place][0], name=name, form=TIED, same_as=place)
