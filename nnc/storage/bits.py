"""Whole numbers as bytes: of fixed width, and of any size; bytes that do not fit are an error."""

from __future__ import annotations

import numpy as np

from nnc.storage.errors import StorageError

_PIECE = 1 << 16  # numbers taken apart at a time; a multiple of 8, so that bytes are whole


def bytes_of(bits: int) -> int:
    """Whole bytes that hold so many bits."""
    return -(-bits // 8)


def pack(values: np.ndarray, width: int) -> bytes:
    """Numbers of ``width`` bits one after the other, highest bit first, padded with zeros."""
    shifts = np.arange(width - 1, -1, -1)
    pieces = (values[at : at + _PIECE, None] for at in range(0, len(values), _PIECE))
    return b"".join(np.packbits((p >> shifts & 1).astype(np.uint8)).tobytes() for p in pieces)


def unpack(data: bytes | memoryview, count: int, width: int) -> np.ndarray:
    """``count`` numbers as ``pack`` wrote them, int64."""
    needed = bytes_of(count * width)
    if len(data) != needed:
        raise StorageError(f"{count} numbers of {width} bits take {needed} bytes, not {len(data)}")
    if count * width % 8 and data[-1] & (255 >> count * width % 8):
        raise StorageError(f"{count} numbers of {width} bits are not followed by zeros")
    values = np.zeros(count, dtype=np.int64)
    packed = np.frombuffer(data, np.uint8)
    for at in range(0, count, _PIECE):
        piece = values[at : at + _PIECE]
        places = np.unpackbits(packed[at * width // 8 :], count=len(piece) * width)
        for column in places.reshape(len(piece), width).T:
            piece[:] = piece << 1 | column
    return values


def varint(number: int) -> bytes:
    """A number from 0 in groups of seven bits, lowest first; the top bit says that more follow."""
    groups = bytearray()
    while number >= 128:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


class Reader:
    """Reads a run of bytes, in errors named ``what``, from the front and knows where it is."""

    def __init__(self, data: bytes | memoryview, what: str) -> None:
        self._data, self._what, self.position = memoryview(data), what, 0

    def __len__(self) -> int:
        return len(self._data) - self.position

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes."""
        if (short := count - len(self)) > 0:
            told = f"{self._what} ends at byte {len(self._data)}, {short} bytes short"
            raise StorageError(f"{told}; it is truncated or damaged")
        self.position += count
        return self._data[self.position - count : self.position]

    def byte(self) -> int:
        """The next byte as a number."""
        return self.take(1)[0]

    def varint(self) -> int:
        """The next number written by ``varint``, below 2⁶³ and no longer than it need be."""
        number = 0
        for shift in range(0, 63, 7):
            group = self.byte()
            number |= (group & 127) << shift
            if group < 128:
                if group == 0 and shift:
                    break
                return number
        raise StorageError(f"{self._what} has a malformed number before byte {self.position}")

    def rest(self) -> memoryview:
        """Everything that is left."""
        return self.take(len(self))
