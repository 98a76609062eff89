"""Random streams that are functions of a key, so that a run can start again anywhere."""

from __future__ import annotations

import numpy as np
import torch


def stream(*key: int) -> torch.Generator:
    """A CPU generator for every key of whole numbers from 0, as NumPy's SeedSequence derives it."""
    word = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(word >> 1)
