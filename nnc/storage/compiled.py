"""The one switch between compiled and plain Python for the coders' inner loops.

With numba (the extra ``fast``) they are compiled at first use and kept beside the module; without
it the same source runs as it is, some hundred times slower, and gives the same bytes. The loops
use whole numbers below 2⁵³ alone, so that nothing depends on a processor's floating point.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

try:
    from numba import njit

    # numba's own switch for debugging, which leaves the functions as they are.
    COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"
except ImportError:
    COMPILED = False


F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """The function, compiled where numba is installed."""
    if not COMPILED:
        return function
    # Nothing here allocates, so arrays need not be counted at every call: a third of the time.
    options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
    return njit(**options)(function)


def numbers(array: np.ndarray) -> Any:
    """An array as the loops want it: int64 where compiled, else a list, which Python reads faster.

    What a loop changes in it is read back with ``np.asarray``.
    """
    array = np.ascontiguousarray(array, dtype=np.int64)
    return array if COMPILED else array.tolist()


def zeros(count: int) -> Any:
    """So many zeros as the loops want them; where compiled, memory is taken as it is used."""
    return np.zeros(count, dtype=np.int64) if COMPILED else [0] * count


def octets(data: bytes) -> Any:
    """Bytes that a loop may change: an array where compiled, else a bytearray."""
    return np.frombuffer(data, np.uint8).copy() if COMPILED else bytearray(data)
