"""Figures of others that the book prints, each with its source and its kind of ratio."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Published:
    """One reported result.

    Args:
        method, year: what and when.
        error: test error in percent.
        ratio: compression as the source reports it.
        kind: what the ratio compares: ``"written"``, ``"computed"`` or ``"parameters"``.
        source: key in the bibliography.
        read: where we read it: ``"paper"``, ``"repository"`` or ``"measured"``.
        nonzero: share of weights that are not zero, in percent, where reported.
    """

    method: str
    year: int
    error: float
    ratio: float
    kind: str
    source: str
    read: str
    nonzero: float | None = None


def results(network: str) -> list[Published]:
    """What was reported for ``"lenet300"``, ``"lenet5"`` or ``"cifar10"``, oldest first."""
    return [Published(**entry) for entry in _read()[network]]


def original() -> dict[str, Any]:
    """What the repository that this book follows claims, and what its own files show."""
    return _read()["okz12"]


def hinton() -> dict[str, Any]:
    """What Hinton, Vinyals and Dean (2015), section 3, report of MNIST: errors on test images."""
    return _read()["hinton"]


def _read() -> dict[str, Any]:
    return tomllib.loads((files("nnc_book") / "published.toml").read_text())
