"""The one switch between compiled and plain Python for the coders' inner loops.

With numba (the extra ``fast``) they are compiled at first use and kept beside the module; without
it the same source runs as it is, some hundred times slower, and gives the same bytes. The loops
use whole numbers below 2⁵³ alone, so that nothing depends on a processor's floating point.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property, update_wrapper
from importlib.util import find_spec
from typing import Any, TypeVar, cast

import numpy as np

# NUMBA_DISABLE_JIT is numba's own switch for debugging, which leaves the functions as they are.
COMPILED = find_spec("numba") is not None and os.environ.get("NUMBA_DISABLE_JIT", "0") == "0"

F = TypeVar("F", bound=Callable[..., Any])


class _Loop:
    """A function that is compiled at its first call, because importing numba takes long."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.machine_code(*arguments)

    @cached_property
    def machine_code(self) -> Callable[..., Any]:
        from numba import njit

        # Compiled code calls compiled code alone, which numba looks for among the globals.
        known = self.function.__globals__
        for name in self.function.__code__.co_names:
            if isinstance(known.get(name), _Loop):
                known[name] = known[name].machine_code
        # Nothing here allocates, so arrays need not be counted at every call: a third of the time.
        options: dict[str, Any] = {"cache": True, "nogil": True, "_nrt": False}
        return cast(Callable[..., Any], njit(**options)(self.function))


def compiled(function: F) -> F:
    """The function, compiled at its first call where numba is installed."""
    return cast(F, _Loop(function)) if COMPILED else function


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
