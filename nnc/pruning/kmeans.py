"""Codebooks by k-means: for networks that were not trained to have few distinct weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from nnc.hints import check
from nnc.pruning.quantised import FLOATS, Quantised, shared

ROUNDS = 50  # at most; one-dimensional clusters settle sooner


def kmeans(values: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Codes and a codebook that make ``sum (value - codebook[code])²`` small, zero being kept.

    Lloyd's algorithm: every value goes to the nearest entry, every entry but zero to the mean of
    its values. Entries start evenly over the range of the values, which keeps large weights large.
    Source: Han, Mao and Dally, "Deep Compression" (2015), section 3.

    Args:
        values: float32, float16, bfloat16 or float64, any shape, finite (else a ValueError).
        levels: entries of the codebook at most, zero among them; at least 1 (else a ValueError).

    Returns:
        int32 codes of the same shape, and the entries in use, in the type of the values: zero,
        then ascending.
    """
    fits = isinstance(levels, int) and levels >= 1
    check("levels", levels, fits, "a whole number of at least 1")
    flat = _numbers(values)
    if not np.isfinite(flat).all():
        raise ValueError("values has numbers that are NaN or infinite, must be finite")
    ascending = np.sort(flat)
    entries = torch.from_numpy(_settled(ascending, levels))
    ends = torch.from_numpy(_ends(ascending, entries.numpy()))
    used = (ends.diff(prepend=ends.new_zeros(1)) > 0) | (entries == 0)
    # Rounding keeps the order, and may make entries equal. Zero comes first.
    kept, places = entries[used].to(values.dtype).unique(return_inverse=True)
    zero = int((kept == 0).nonzero()[0])
    order = torch.cat([torch.tensor([zero]), torch.arange(zero), torch.arange(zero + 1, len(kept))])
    meant = order.argsort()[places[(used.cumsum(0) - 1).clamp(min=0)]].int()
    edges = torch.from_numpy(_edges(entries.numpy(), flat.dtype))
    nearest = torch.bucketize(torch.from_numpy(flat), edges, out_int32=True)
    return meant[nearest].reshape(values.shape), kept[order]


def quantise_kmeans(state: Mapping[str, Tensor], levels: int, prune: float = 0.0) -> Quantised:
    """Bring any trained network to few distinct weights: prune the smallest, cluster the others.

    What is not coded is the rest, as it is.

    Args:
        state: a ``state_dict``. Floating tensors of two or more dimensions are coded.
        levels: entries of each tensor's codebook at most, zero among them.
        prune: share of each tensor's weights set to zero, the smallest in magnitude, in [0, 1).

    Raises:
        ValueError: nothing to code, weights that are not finite (named), or an argument out of
            range.
    """
    codes, codebooks = {}, {}
    for name in weights_of(state, prune):
        codes[name], codebooks[name] = quantise_tensor(name, state[name], levels, prune)
    return Quantised.beside(state, codes, codebooks)


def weights_of(state: Mapping[str, Tensor], prune: float = 0.0) -> list[str]:
    """The names of what ``quantise_kmeans`` codes: floating, two or more dimensions, each once.

    A ValueError says that there are none, or that ``prune`` is no share.
    """
    check("prune", prune, 0 <= prune < 1, "at least 0 and below 1")
    ties = shared(state)
    matrices = (name for name, t in state.items() if t.dim() >= 2 and t.is_floating_point())
    names = [name for name in matrices if name not in ties and state[name].numel()]
    if not names:
        needed = "a weight tensor: floating point, two or more dimensions"
        raise ValueError(f"state has {', '.join(state) or 'nothing'}, needs at least {needed}")
    return names


def quantise_tensor(
    name: str, weight: Tensor, levels: int, prune: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Codes and a codebook of one tensor, pruned and clustered; its name is for errors."""
    try:
        return kmeans(_pruned(weight, prune), levels)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def code_rest(quantised: Quantised, levels: int) -> Quantised:
    """Code the rest too: biases and other floating tensors with more than ``levels`` numbers.

    Args:
        quantised: left unchanged; in the result all codes are in the order of their names.
        levels: entries of each codebook at most, zero among them.
    """
    codes, codebooks = dict(quantised.codes), dict(quantised.codebooks)
    for name, tensor in quantised.rest.items():
        if tensor.is_floating_point() and tensor.numel() > levels:
            codes[name], codebooks[name] = kmeans(tensor, levels)
    names = sorted(codes)
    rest = {name: tensor for name, tensor in quantised.rest.items() if name not in codes}
    return Quantised(
        {n: codes[n] for n in names}, {n: codebooks[n] for n in names}, rest, quantised.ties
    )


def _numbers(values: Tensor) -> np.ndarray:
    """The numbers of a tensor, float64 or (shorter ones without loss) float32, one dimension."""
    check("values", values, values.dtype in FLOATS, f"one of {FLOATS}; convert it")
    values = values.detach().cpu()
    return (values if values.dtype == torch.float64 else values.float()).flatten().numpy()


def _pruned(weight: Tensor, share: float) -> Tensor:
    """A copy with the smallest weights zero: exactly ``floor(share n)`` of them, ties by order."""
    sizes = np.abs(_numbers(weight))
    pruned = weight.detach().cpu().clone()
    if count := int(share * len(sizes)):
        edge = np.partition(sizes, count - 1)[count - 1]
        smallest = sizes < edge
        equal = np.flatnonzero(sizes == edge)
        smallest[equal[: count - np.count_nonzero(smallest)]] = True
        pruned[torch.from_numpy(smallest).reshape(weight.shape)] = 0
    return pruned


def _settled(ascending: np.ndarray, levels: int) -> np.ndarray:
    """Ascending entries, zero among them. Values that are zero already ask for no other entry.

    Args:
        ascending: the values, sorted: each entry's are a run of them, whose sum is a difference.
    """
    others = ascending[ascending != 0]
    first = np.concatenate([[True], others[1:] != others[:-1]])[: len(others)]
    if np.count_nonzero(first) < levels:  # nothing is to be averaged
        return np.sort(np.append(others[first], 0.0).astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(others, dtype=np.float64)])
    even = np.linspace(others[0], others[-1], levels - 1, dtype=np.float64)
    entries = np.sort(np.append(even[even != 0], 0.0))
    for _ in range(ROUNDS):
        ends = _ends(others, entries)
        counts = np.diff(ends, prepend=0)
        totals = np.diff(sums[ends], prepend=0.0)
        moves = (counts > 0) & (entries != 0)
        moved = np.sort(np.where(moves, totals / np.maximum(counts, 1), entries))
        if np.array_equal(moved, entries):
            break
        entries = moved
    return entries


def _ends(ascending: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """Where in sorted values the run ends for which each of ascending entries is the nearest."""
    inner = np.searchsorted(ascending, _edges(entries, ascending.dtype), side="right")
    return np.append(inner, len(ascending))


def _edges(entries: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Halfway between entries, rounded down: what lies at or below one in double does so here."""
    exact = (entries[1:] + entries[:-1]) / 2
    edges = exact.astype(kind)
    return np.where(edges > exact, np.nextafter(edges, kind.type(-np.inf)), edges)
