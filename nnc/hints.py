"""What errors about arguments say: name, value, what is allowed, and the nearest known name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from torch import Tensor


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` with the known name nearest to ``name``, or nothing."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check(name: str, value: object, fits: bool, allowed: str) -> None:
    """Refuse an argument in one line: its name, its value, what is allowed."""
    if not fits:
        raise ValueError(f"{name} is {said(value)}, must be {allowed}")


def said(value: object) -> str:
    """A value as errors say it, in one line: of what is long, its type and shape."""
    if isinstance(value, Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)} on {value.device}"
    plain = value is None or isinstance(value, int | float | str | list | tuple)
    return repr(value) if plain and len(repr(value)) < 100 else f"a {type(value).__name__}"
