"""Networks from other programs: a file of weights to a quantised network, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from nnc import storage
from nnc.files import UNREADABLE, atomic_write
from nnc.pruning.kmeans import quantise_kmeans
from nnc.pruning.quantised import Quantised

SAFE = ".safetensors"


def pack(path: Path, levels: int, prune: float) -> Quantised:
    """Prune and cluster the network in a file, whatever program trained it.

    Args:
        path: a ``.safetensors`` file, or a ``state_dict`` that ``torch.save`` wrote (also below
            the key ``"state_dict"`` or ``"model"``, as training programs keep it).
        levels: entries of each tensor's codebook at most.
        prune: share of each tensor's weights set to zero.

    Raises:
        ValueError: the file holds no ``state_dict`` of weights, or holds code that would be run.
    """
    return quantise_kmeans(_read(path), levels, prune, progress=True)


def unpack(path: Path, target: Path) -> None:
    """Write the dense network of a ``.sws`` file as ``.safetensors``, whole or not at all.

    Raises:
        ValueError: the file is damaged, or the target has another ending.
    """
    if target.suffix != SAFE:
        raise ValueError(f"target is {target}, must end in {SAFE}")
    state = storage.load(path, progress=True).state_dict()
    own = {name: tensor.contiguous() for name, tensor in state.items()}
    atomic_write(target, safetensors.torch.save(own))


def _read(path: Path) -> dict[str, Tensor]:
    state = _load(path)
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    tensors = isinstance(state, dict) and all(isinstance(t, Tensor) for t in state.values())
    if not tensors or not state:
        raise ValueError(f"{path} holds no state_dict, must map names to tensors")
    return {str(name): tensor for name, tensor in state.items()}


def _load(path: Path) -> Any:
    try:
        if path.suffix == SAFE:
            return safetensors.torch.load(path.read_bytes())
        # Weights alone: a file from elsewhere must not run code.
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, *UNREADABLE) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"{path} cannot be read as weights ({reason}); save the state_dict as {SAFE}"
        ) from None
