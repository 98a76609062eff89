"""What an exercise expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Value = Callable[[], Any]


@dataclass(frozen=True)
class Exercise:
    """The right answer, computed when it is asked for, and what mistakes look like.

    Args:
        expected: a number, a word or a tuple of them.
        hint: what to look at again where no mistake fits.
        mistakes: wrong answers, each with its own hint.
        within: relative tolerance of numbers.
    """

    expected: Value
    hint: str
    mistakes: tuple[tuple[Value, str], ...] = ()
    within: float = 0.02


def always(value: Any) -> Value:
    """A value that needs no computing: a word, or exact arithmetic."""
    return lambda: value
