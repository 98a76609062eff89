"""Networks from other programs: a file of weights to a quantised network, and back."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from nnc import storage
from nnc.files import UNREADABLE, atomic_write
from nnc.pruning.kmeans import quantise_kmeans
from nnc.pruning.quantised import Quantised, shared
from nnc.weights import plain_name

SAFE = ".safetensors"
_MOST_BYTES = 2**30  # that are written with ties undone; a file can tie one tensor to many names


def pack(path: Path, levels: int, prune: float) -> Quantised:
    """Prune and cluster the network in a file, whatever program trained it.

    Tensors that share memory in the file stay tied. Names lose what ``torch.compile`` and
    ``DataParallel`` put before them; weights with a mask of ``torch.nn.utils.prune`` are masked.

    Args:
        path: a ``.safetensors`` file, or a ``state_dict`` that ``torch.save`` wrote (also below
            the key ``"state_dict"`` or ``"model"``, as training programs keep it).
        levels: entries of each tensor's codebook at most.
        prune: share of each tensor's weights set to zero.

    Raises:
        ValueError: the file holds no ``state_dict`` of weights, or holds code that would be run,
            or weights that a parametrisation computes from others (named).
    """
    return quantise_kmeans(_read(Path(path)), levels, prune, progress=True)


def unpack(path: Path, target: Path) -> None:
    """Write the dense network of a ``.sws`` file as ``.safetensors``, whole or not at all.

    That format knows no ties: a tied tensor is written under each of its names, and the metadata
    say to which it is tied.

    Raises:
        ValueError: the file is damaged or too large with ties undone, or the target has another
            ending.
    """
    target = Path(target)
    if target.suffix != SAFE:
        raise ValueError(f"target is {target}, must end in {SAFE}")
    quantised = storage.load(path, progress=True)
    state = quantised.state_dict()
    if (size := sum(tensor.nbytes for tensor in state.values())) > _MOST_BYTES:
        raise ValueError(
            f"{path} takes {size} bytes with ties undone, allowed are {_MOST_BYTES}; read it with "
            "nnc.load, which keeps them"
        )
    own = {name: tensor.contiguous().clone() for name, tensor in state.items()}
    atomic_write(target, safetensors.torch.save(own, dict(quantised.ties) or None))


def _read(path: Path) -> dict[str, Tensor]:
    state = _load(path)
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    entries = state if isinstance(state, dict) else {"it": state}
    wrong = [f"{k!r} is a {type(t).__name__}" for k, t in entries.items() if not torch.is_tensor(t)]
    if wrong or not entries:
        reason = wrong[0] if wrong else "it is empty"
        raise ValueError(f"{path} holds no state_dict ({reason}), must map names to tensors")
    try:
        return _unmasked(_unprefixed({str(name): tensor for name, tensor in entries.items()}))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _load(path: Path) -> Any:
    try:
        if path.suffix == SAFE:
            return _load_safe(path.read_bytes())
        with path.open("rb") as file:
            if (first := file.read(2)) not in (b"PK", b"\x80\x02"):
                raise ValueError(f"it begins with {first!r}, which torch.save does not write")
        # Weights alone: a file from elsewhere must not run code.
        with warnings.catch_warnings(action="ignore"):  # what torch says of old and odd files
            return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, *UNREADABLE) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):  # torch tells its history of the option
            reason = "it is damaged, or holds more than tensors: objects that could run code"
        raise ValueError(
            f"{path} cannot be read as weights ({reason}); save the state_dict as {SAFE}"
        ) from None


def _load_safe(data: bytes) -> dict[str, Tensor]:
    """The tensors, tied as the metadata say (:func:`unpack`, ``safetensors.torch.save_model``)."""
    state = safetensors.torch.load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    for name, owner in header.get("__metadata__", {}).items():
        if owner in state and torch.equal(state.get(name, state[owner]), state[owner]):
            state.pop(name, None)  # behind its owner
            state[name] = state[owner]
    return state


def _unprefixed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    names = [plain_name("", name) for name in state]
    while all(name.startswith("module.") for name in names):
        names = [name.removeprefix("module.") for name in names]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"two tensors are {twice!r} without wrappers' prefixes; rename one")
    return dict(zip(names, state.values(), strict=True))


def _unmasked(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Masks put into their weights; weights computed in another way are refused."""
    ties, plain = shared(state), dict[str, Tensor]()
    for name, tensor in state.items():
        base, _, ending = name.rpartition("_")
        kept = {end for end in ("orig", "mask", "g", "u", "v") if f"{base}_{end}" in state}
        kept = set() if base in state else kept
        if kept >= {"orig", "mask"} and ending in ("orig", "mask"):
            if ending == "orig":
                owner = ties.get(name, "_orig").removesuffix("_orig")
                tied = owner in plain and ties.get(f"{base}_mask") == f"{owner}_mask"
                plain[base] = plain[owner] if tied else _masked(base, state)
        elif ".parametrizations." in f".{name}" or (
            "weight" in base and (kept >= {"g", "v"} or kept >= {"orig", "u"})
        ):
            raise ValueError(
                f"{name!r} is of a weight that a parametrisation computes (weight_norm or such); "
                "call nnc.make_plain(model) and save its state_dict again"
            )
        else:
            plain[name] = tensor
    return plain


def _masked(base: str, state: dict[str, Tensor]) -> Tensor:
    weight, mask = state[f"{base}_orig"], state[f"{base}_mask"]
    if weight.shape != mask.shape:
        raise ValueError(f"'{base}_mask' has shape {tuple(mask.shape)}, must have its weight's")
    return weight * mask.to(weight.dtype)
