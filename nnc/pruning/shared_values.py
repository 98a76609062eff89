"""Weights that stand at a few shared values while they are trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nnc.pruning.kmeans import kmeans
from nnc.pruning.quantised import entropy, used_entries
from nnc.weights import wide

LEVELS = 8  # values of a weight tensor beside zero
_SMALL = 15  # values of a bias beside zero; as many numbers or fewer are left as they are
_MEMORY = 0.99  # of the running mean of squared gradients
_REFRESH = 10  # steps after which codebooks and importances follow the weights
_RANGE = 10.0  # how far an importance may be from that of a common weight


class SharedValues:
    """A network's parameters at few values each, trained straight through.

    Beside every parameter stands a latent ``v``, which takes the optimiser's steps; the parameter
    itself is ``codebook[code]``. Codes minimise the description length of the network,
    ``h (v - c_k)^2 + price bits_k``, with the importance ``h`` of a weight, the square root of its
    gradient's root mean square over that of all weights, and the bits
    ``-log2`` of the share of its zero or non-zero kind and of its value: a mixture of narrow
    components, each weight with the one that owns it (hard expectation maximisation). Entries
    are the mean of the latents that they own. Parameters of one dimension have a codebook too,
    and no price.
    Source: straight-through values after Courbariaux et al., "BinaryConnect" (2015); the bits in
    the criterion after Choi et al., "Towards the limit of network quantization" (2017).

    Args:
        parameters: by name; changed in place.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        found = {name: p for name, p in parameters.items() if p.dim() > 1 or p.numel() > _SMALL}
        self._tensors = {name: _Shared(p) for name, p in found.items()}
        self._taken = 0

    def energy(self) -> float:
        """Mean of ``h v^2`` over all priced weights: the unit of a price."""
        priced = [t for t in self._tensors.values() if t.priced]
        total = sum(float((t.importance * t.latent**2).sum()) for t in priced)
        return total / sum(t.latent.numel() for t in priced)

    @torch.no_grad()
    def step(self, price: float, fixed: bool = False, returning: bool = True) -> None:
        """Take up what the optimiser did, and bring every parameter to a shared value again.

        Args:
            price: of a bit, in units of ``h v^2``.
            fixed: whether codes stay as they are.
            returning: whether a weight at zero may leave it.
        """
        self._taken += 1
        refresh = self._taken % _REFRESH == 0
        for tensor in self._tensors.values():
            tensor.take_up()
            if fixed:
                tensor.recentre()
            elif refresh:
                tensor.recentre()
                tensor.count()
            if not fixed:
                tensor.assign(price, returning)
            tensor.show()
        if refresh and not fixed:
            self._weigh()

    def _weigh(self) -> None:
        """Importances follow the gradients, on one scale for the whole network."""
        priced = [t for t in self._tensors.values() if t.priced]
        total = sum(float(t.square.sqrt().sum()) for t in priced)
        common = total / sum(t.square.numel() for t in priced)
        if common > 0:
            for tensor in priced:
                tensor.importance = (tensor.square.sqrt() / common).sqrt_()
                tensor.importance.clamp_(1 / _RANGE, _RANGE)

    def codes(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Codes (int32) and codebooks in the parameters' types, entries in use alone."""
        pairs = {name: tensor.compact() for name, tensor in self._tensors.items()}
        return {k: c for k, (c, _) in pairs.items()}, {k: b for k, (_, b) in pairs.items()}

    def expected_bytes(self) -> float:
        """Bytes of all codes at their entropy, and two for each entry of a codebook."""
        return sum(entropy(t.codes) / 8 + 2 * len(t.book) for t in self._tensors.values())

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        return {"taken": self._taken} | {k: t.state() for k, t in self._tensors.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take a state up again."""
        self._taken = state["taken"]
        for name, tensor in self._tensors.items():
            tensor.load(state[name])


class _Shared:
    """One parameter: its latent, its codes and its codebook (without zero, ascending)."""

    _KEPT = ("latent", "shown", "codes", "book", "share", "zero", "importance", "square")

    @torch.no_grad()
    def __init__(self, parameter: nn.Parameter) -> None:
        self.parameter, self.priced = parameter, parameter.dim() > 1
        self.latent = wide(parameter.detach().clone(memory_format=torch.contiguous_format))
        levels = LEVELS if self.priced else _SMALL
        book = kmeans(self.latent, levels + 1)[1].to(self.latent)
        self.book = book[book != 0].sort().values
        if not len(self.book):  # all zero: one value that nobody has yet
            self.book = torch.ones_like(book[:1])
        self.importance = torch.ones_like(self.latent)
        self.square = torch.zeros_like(self.latent)
        self.shown = parameter.detach().clone()
        self.share = torch.full_like(self.book, 1 / len(self.book))
        self.zero = self.book.new_tensor(0.5)
        self.codes = torch.ones_like(self.latent, dtype=torch.long)
        self.assign(0.0, True)
        self.count()
        self.show()

    def take_up(self) -> None:
        self.latent += self.parameter.detach() - self.shown
        if self.priced and self.parameter.grad is not None:
            gradient = self.parameter.grad.to(self.square)
            self.square.mul_(_MEMORY).addcmul_(gradient, gradient, value=1 - _MEMORY)

    def assign(self, price: float, returning: bool) -> None:
        middle = (self.book[1:] + self.book[:-1]) / 2
        nearest = torch.bucketize(self.latent, middle)
        error = (self.latent - self.book[nearest]) ** 2 - self.latent**2
        if self.priced and price:
            bits = (self.zero / (1 - self.zero)).log2() - self.share.log2()
            error = self.importance * error + price * bits[nearest]
        stays = error < 0
        if not returning:
            stays &= self.codes > 0
        self.codes = torch.where(stays, nearest + 1, 0)

    def recentre(self) -> None:
        """Entries move to the mean of the latents that they own."""
        counts, sums = self._counts(), self._counts(self.latent.flatten())
        self.book = torch.where(counts > 0, sums / counts.clamp(min=1), self.book)

    def count(self) -> None:
        """Shares of the values and of zero, by Laplace's rule."""
        counts = self._counts()
        some, every = counts.sum(), self.codes.numel()
        self.share = (counts + 1) / (some + len(counts))
        self.zero = (every - some + 1) / (every + 2)

    def _counts(self, of: Tensor | None = None) -> Tensor:
        length = len(self.book) + 1
        return torch.bincount(self.codes.flatten(), of, minlength=length)[1:].to(self.book)

    def show(self) -> None:
        """The parameter stands at its shared values."""
        self.parameter.copy_(self.table()[self.codes])
        self.shown = self.parameter.detach().clone()

    def table(self) -> Tensor:
        """Zero, then the other values: what codes stand for."""
        return torch.cat([self.book.new_zeros(1), self.book])

    def compact(self) -> tuple[Tensor, Tensor]:
        codes, book = used_entries(self.codes, self.table())
        return codes.cpu(), book.to(self.parameter.dtype).cpu()

    def state(self) -> dict[str, Tensor]:
        return {name: getattr(self, name).clone() for name in self._KEPT}

    def load(self, state: Mapping[str, Tensor]) -> None:
        for name in self._KEPT:
            setattr(self, name, state[name].to(self.parameter.device, copy=True))
