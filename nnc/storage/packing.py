"""Networks from other programs: a file of weights to a quantised network, and back."""

from __future__ import annotations

import itertools
import json
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor
from tqdm.auto import tqdm

from nnc.files import UNREADABLE, atomic_write
from nnc.pruning.kmeans import quantise_tensor, weights_of
from nnc.pruning.quantised import shared
from nnc.storage.archive import Archive
from nnc.storage.coding import Coded, encoded, on_all_cores
from nnc.storage.container import TIED, TYPES, Writer
from nnc.storage.tensors import Precision
from nnc.weights import plain_name

SAFE = ".safetensors"
_INDEX = SAFE + ".index.json"
_MOST_BYTES = 2**30  # that tied tensors may add when written out; one can be tied to many names
_INITIALS = {"float": "F", "bfloat": "BF", "int": "I", "uint": "U", "bool": "BOOL"}  # of types


def pack(
    source: Path, target: Path, levels: int, prune: float, precision: Precision = "float32"
) -> tuple[int, int]:
    """Prune, cluster and store the network in a file, whatever program trained it.

    Gives how many of the coded weights are zero, and how many these are. Tensors are read, coded
    and written one after the other, a few at a time on all cores. Those that share memory in the
    file stay tied. Names lose what ``torch.compile`` and ``DataParallel`` put before them; weights
    with a mask of ``torch.nn.utils.prune`` are masked. The source and errors are those of
    :func:`read`; the target is written whole or not at all; the rest is as in
    :func:`nnc.quantise_kmeans` and :func:`nnc.storage.dumps`.
    """
    state = read(source)
    ties, names = shared(state), set(weights_of(state, prune))
    given = [(name, tensor) for name, tensor in state.items() if name not in ties]
    counts: list[tuple[int, int]] = []

    def work(name: str, tensor: Tensor) -> Coded | Tensor:
        if name not in names:
            return tensor
        codes, book = quantise_tensor(name, tensor, levels, prune)
        counts.append((int((codes == 0).sum()), codes.numel()))
        return codes, book

    with tempfile.TemporaryFile(dir=target.parent) as bodies:
        writer = Writer({}, bodies)
        for entry in encoded(tqdm(given, "packing", leave=False), work, ties, precision):
            writer.add(entry)
        bodies.seek(0)
        parts = iter(lambda: bodies.read(1 << 20), b"")
        atomic_write(target, itertools.chain([writer.directory()], parts))
    zeros, weights = zip(*counts, strict=True)
    return sum(zeros), sum(weights)


def unpack(path: Path, target: Path) -> None:
    """Write the dense network of a ``.sws`` file as ``.safetensors``, whole or not at all.

    That format knows no ties: a tied tensor is written under each of its names, and the metadata
    say to which it is tied. A ValueError says what is damaged, or too large with ties undone.
    """
    if target.suffix != SAFE:
        raise ValueError(f"target is {target}, must end in {SAFE}")
    archive = Archive(path)
    again = sum(entry.memory for entry in archive.entries.values() if entry.form == TIED)
    if again > _MOST_BYTES:
        size = f"{again} bytes when undone, allowed are {_MOST_BYTES}"
        raise ValueError(
            f"{path} has ties that take {size}; read it with nnc.load, which keeps them"
        )
    header, at = dict[str, Any](), 0
    for name, entry in archive.entries.items():
        word = entry.kind.rstrip("0123456789")
        kind = _INITIALS[word] + entry.kind.removeprefix(word)
        place = at, at + entry.count * TYPES[entry.kind]
        header[name], at = {"dtype": kind, "shape": entry.shape, "data_offsets": place}, place[1]
    ties = {name: archive.tied_to(name) for name, e in archive.entries.items() if e.form == TIED}
    text = json.dumps(header | ({"__metadata__": ties} if ties else {})).encode()
    text += b" " * (-len(text) % 8)
    tensors = on_all_cores(archive.__getitem__, tqdm(archive, "unpacking", leave=False))
    data = (t.reshape(-1).view(torch.uint8).numpy().tobytes() for t in tensors if t.numel())
    atomic_write(target, itertools.chain([len(text).to_bytes(8, "little"), text], data))


def read(path: Path) -> dict[str, Tensor]:
    """The tensors in a file of weights, mapped into memory where its format allows.

    That is a ``.safetensors`` file or the index of several (``….safetensors.index.json``), or a
    ``state_dict`` that ``torch.save`` wrote (also below the key ``"state_dict"`` or ``"model"``, as
    training programs keep it). A file of anything else, of code that would be run, or of weights
    that a parametrisation computes from others (named) is a ValueError.
    """
    path = Path(path)
    state = _load_index(path) if path.name.endswith(_INDEX) else _load(path)
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
            return _load_safe(path)
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
        remedy = f"save the state_dict as {SAFE}"
        raise ValueError(f"{path} cannot be read as weights ({reason}); {remedy}") from None


def _load_index(path: Path) -> dict[str, Tensor]:
    """The tensors of the files beside an index, as the hub splits large networks."""
    try:
        index = json.loads(path.read_bytes())["weight_map"]
        files = sorted({Path(name).name for name in index.values()})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no index of {SAFE} files ({error})") from None
    return {name: tensor for file in files for name, tensor in _load(path.parent / file).items()}


def _load_safe(path: Path) -> dict[str, Tensor]:
    """The tensors, tied as the metadata say (:func:`unpack`, ``safetensors.torch.save_model``)."""
    state = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, "pt") as file:
        said = file.metadata() or {}
    for name, owner in said.items():
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
            told = f"{name!r} is of a weight that a parametrisation computes (weight_norm or such)"
            raise ValueError(f"{told}; call nnc.make_plain(model) and save its state_dict again")
        else:
            plain[name] = tensor
    return plain


def _masked(base: str, state: dict[str, Tensor]) -> Tensor:
    weight, mask = state[f"{base}_orig"], state[f"{base}_mask"]
    if weight.shape != mask.shape:
        raise ValueError(f"'{base}_mask' has shape {tuple(mask.shape)}, must have its weight's")
    return weight * mask.to(weight.dtype)
