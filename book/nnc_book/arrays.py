"""NumPy arrays by name in one compressed file: what a run keeps beside its network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from nnc.files import atomic_write


def save_arrays(path: Path, **arrays: Any) -> Path:
    """Write NumPy arrays by name into one compressed file, whole or not at all; returns the path.

    The same arrays give the same bytes.
    """
    buffer = io.BytesIO()
    # No allow_pickle here: before numpy 2.1 it would be stored as one more array.
    np.savez_compressed(buffer, **arrays)
    atomic_write(path, buffer.getvalue())
    return path


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read what :func:`save_arrays` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)
