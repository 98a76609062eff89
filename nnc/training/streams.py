"""Random streams that are functions of a key, so that a run can start again anywhere."""

from __future__ import annotations

import numpy as np
import torch


def stream(*key: int) -> torch.Generator:
    """An independent random stream for every key, as NumPy's SeedSequence derives them.

    Args:
        key: whole numbers, at least 0, such as seed, epoch and step.

    Returns:
        A generator on the CPU.
    """
    word = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(word >> 1)
