"""A binary arithmetic coder: a decision of probability p costs about -log2 p bits.

The message is a number in an interval ``[low, low + range)`` of 32 bits. Each decision cuts the
interval in two in proportion to the probabilities and keeps the part of what was decided; leading
bytes are written out as soon as they are settled. Source: Martin, "Range encoding" (1979), in the
form with carries.

A coder is six whole numbers in a list or array, so that compiled loops can pass it around.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnc.storage.compiled import compiled, numbers

LOW, RANGE, CODE, POSITION, DECODING, FULL = range(6)
STATE = 6  # numbers of a coder's state; what comes after them is its user's
_TOP = 1 << 32
_RENEW = 1 << 24  # below this the range takes in another byte


def encoder() -> Any:
    """A coder that is about to write."""
    return numbers(np.array([0, _TOP - 1, 0, 0, 0, 0]))


def decoder(data: bytes) -> Any:
    """A coder that is about to read ``data``; past its end it reads zeros."""
    code = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    return numbers(np.array([0, _TOP - 1, code, 4, 1, 0]))


@compiled
def decide(coder, buffer, probability, bit):  # type: ignore[no-untyped-def]
    """Write ``bit``, or read and return one.

    Args:
        coder: its state, changed.
        buffer: bytes as whole numbers; written to from the front, or read from.
        probability: of a 1, in units of 1 / 65,536, from 1 to 65,535.
        bit: 0 or 1; when reading, anything.

    When the buffer is full, the coder's FULL is set and what follows is lost.
    """
    bound = (coder[RANGE] * probability) >> 16
    if coder[DECODING]:
        bit = 1 if coder[CODE] < bound else 0
    if bit:
        coder[RANGE] = bound
    else:
        coder[RANGE] -= bound
        if coder[DECODING]:
            coder[CODE] -= bound
        else:
            coder[LOW] += bound
    while coder[RANGE] < _RENEW:
        coder[RANGE] <<= 8
        if coder[DECODING]:
            position = coder[POSITION]
            byte = buffer[position] if position < len(buffer) else 0
            coder[CODE] = ((coder[CODE] << 8) & (_TOP - 1)) | byte
            coder[POSITION] = position + 1
        else:
            _write(coder, buffer)
    return bit


@compiled
def _write(coder, buffer):  # type: ignore[no-untyped-def]
    """Move the leading byte of ``low`` to the buffer."""
    if coder[LOW] >= _TOP:
        coder[LOW] -= _TOP
        back = coder[POSITION] - 1
        while buffer[back] == 255:
            buffer[back] = 0
            back -= 1
        buffer[back] += 1
    if coder[POSITION] < len(buffer):
        buffer[coder[POSITION]] = coder[LOW] >> 24
        coder[POSITION] += 1
    else:
        coder[FULL] = 1
    coder[LOW] = (coder[LOW] & (_RENEW - 1)) << 8


def finish(coder: Any, buffer: Any) -> bytes | None:
    """Settle the rest of the message in as few bytes as can be; None where the buffer was full."""
    coder[LOW] += _to_last(int(coder[LOW]), int(coder[RANGE]))
    for _ in range(4):
        _write(coder, buffer)
    if coder[FULL]:
        return None
    return bytes(buffer[: int(coder[POSITION])]).rstrip(b"\0")


def is_end(coder: Any, data: bytes) -> bool:
    """Whether ``data``, read to its last decision, are the bytes that ``finish`` gave, and zeros.

    The four bytes before the position are the upper bytes of a number in the last interval, and
    ``code`` is how far up in it; all further ones are zeros that were left out.
    """
    position, code = int(coder[POSITION]), int(coder[CODE])
    last = int.from_bytes(data[position - 4 : position].ljust(4, b"\0"), "big")
    return len(data) <= position and code == _to_last(last - code, int(coder[RANGE]))


def _to_last(low: int, size: int) -> int:
    """How far from ``low`` the number below ``low + size`` is that ends in the most zero bytes."""
    return next(d for kept in range(32, -1, -8) if (d := -low % (1 << kept)) < size)
