"""Codebooks by k-means: for networks that were not trained to have few distinct weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from tqdm.auto import tqdm

from nnc.pruning.quantised import FLOATS, Quantised, shared

ROUNDS = 50  # at most; one-dimensional clusters settle sooner


def kmeans(values: Tensor, levels: int) -> tuple[Tensor, Tensor]:
    """Codes and a codebook that make ``sum (value - codebook[code])²`` small, zero being kept.

    Lloyd's algorithm: every value goes to the nearest entry, every entry but zero to the mean of
    its values. Entries start evenly over the range of the values, which keeps large weights large.
    Source: Han, Mao and Dally, "Deep Compression" (2015), section 3.

    Args:
        values: float32, float16, bfloat16 or float64, any shape, finite.
        levels: entries of the codebook at most, zero among them; at least 1.

    Returns:
        int32 codes of the same shape, and the entries in use, in the type of the values: zero,
        then ascending.

    Raises:
        ValueError: too few levels, or values that are not finite.
    """
    if not isinstance(levels, int) or levels < 1:
        raise ValueError(f"levels is {levels}, must be a whole number of at least 1")
    flat = _checked(values).detach().cpu().double().flatten()
    if not bool(torch.isfinite(flat).all()):
        raise ValueError("values has numbers that are NaN or infinite, must be finite")
    entries = _settled(flat, levels)
    codes = _nearest(flat, entries)
    used = torch.bincount(codes, minlength=len(entries)) > 0
    used |= entries == 0
    # Rounding keeps the order, and may make entries equal. Zero comes first.
    kept, places = entries[used].to(values.dtype).unique(return_inverse=True)
    zero = int((kept == 0).nonzero()[0])
    order = torch.cat([torch.tensor([zero]), torch.arange(zero), torch.arange(zero + 1, len(kept))])
    codes = order.argsort()[places[(used.cumsum(0) - 1)[codes]]]
    return codes.int().reshape(values.shape), kept[order]


def quantise_kmeans(
    state: Mapping[str, Tensor], levels: int, prune: float = 0.0, *, progress: bool = False
) -> Quantised:
    """Bring any trained network to few distinct weights: prune the smallest, cluster the others.

    Args:
        state: a ``state_dict``. Floating tensors of two or more dimensions are coded.
        levels: entries of each tensor's codebook at most, zero among them.
        prune: share of each tensor's weights set to zero, the smallest in magnitude, in [0, 1).
        progress: whether to draw a progress bar over the tensors.

    Returns:
        Codes and codebooks of those tensors, and the rest of ``state`` as it is.

    Raises:
        ValueError: nothing to code, weights that are not finite (named), or an argument out of
            range.
    """
    if not 0 <= prune < 1:
        raise ValueError(f"prune is {prune}, must be at least 0 and below 1")
    ties = shared(state)
    matrices = (name for name, t in state.items() if t.dim() >= 2 and t.is_floating_point())
    names = [name for name in matrices if name not in ties and state[name].numel()]
    if not names:
        raise ValueError(
            f"state has {', '.join(state) or 'nothing'}, needs at least one weight tensor: "
            "floating point, two or more dimensions"
        )
    codes, codebooks = {}, {}
    for name in tqdm(names, "clustering", disable=not progress, leave=False):
        try:
            codes[name], codebooks[name] = kmeans(_pruned(state[name], prune), levels)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return Quantised.beside(state, codes, codebooks)


def code_rest(quantised: Quantised, levels: int) -> Quantised:
    """Code the rest too: biases and other floating tensors with more than ``levels`` numbers.

    Args:
        quantised: left unchanged.
        levels: entries of each codebook at most, zero among them.

    Returns:
        The network with those tensors among its codes, in the order of the names.
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


def _checked(values: Tensor) -> Tensor:
    if values.dtype not in FLOATS:
        raise ValueError(f"values has type {values.dtype}, must be one of {FLOATS}; convert it")
    return values


def _pruned(weight: Tensor, share: float) -> Tensor:
    """A copy with the smallest weights zero: exactly ``floor(share n)`` of them, ties by order."""
    pruned = _checked(weight).detach().cpu().clone().flatten()
    smallest = pruned.abs().argsort(stable=True)[: int(share * len(pruned))]
    pruned[smallest] = 0
    return pruned.reshape(weight.shape)


def _settled(values: Tensor, levels: int) -> Tensor:
    """Ascending entries, zero among them. Values that are zero already ask for no other entry."""
    others = values[values != 0]
    distinct = others.unique()
    if len(distinct) < levels:  # nothing is to be averaged
        return torch.cat([distinct, distinct.new_zeros(1)]).sort().values
    low, high = float(distinct[0]), float(distinct[-1])
    entries = torch.linspace(low, high, levels - 1, dtype=torch.float64)
    entries = torch.cat([entries[entries != 0], entries.new_zeros(1)]).sort().values
    for _ in range(ROUNDS):
        codes = _nearest(others, entries)
        counts = torch.bincount(codes, minlength=len(entries))
        means = torch.bincount(codes, others, minlength=len(entries)) / counts
        moved = torch.where((counts > 0) & (entries != 0), means, entries).sort().values
        if torch.equal(moved, entries):
            break
        entries = moved
    return entries


def _nearest(values: Tensor, entries: Tensor) -> Tensor:
    """The index of the nearest of ascending entries."""
    return torch.bucketize(values, (entries[1:] + entries[:-1]) / 2)
