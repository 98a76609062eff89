"""Weights that stand at a few shared values while they are trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn

from nnc.pruning.kmeans import kmeans
from nnc.pruning.quantised import used_entries
from nnc.weights import wide

LEVELS = 8  # values of a weight tensor beside zero
_SMALL = 15  # values of a bias beside zero; as many numbers or fewer are left as they are
_MEMORY = 0.99  # of the running mean of squared gradients
_REFRESH = 10  # steps after which codebooks and importances follow the weights
_RANGE = 10.0  # how far an importance may be from that of a common weight

Tensors = dict[str, Tensor]


class Phase(Enum):
    """What codes may do: change freely, leave for zero alone, or nothing."""

    FREE, LEAVING, FIXED = range(3)


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
    the criterion after Choi et al., "Towards the limit of network quantization" (2017); the
    average of the latents after Polyak and Juditsky (1992).

    Args:
        parameters: by name; changed in place.
        beside: other tensors of the network, the statistics of batch norm, that belong to an
            average of it.
        horizon: how many steps an average reaches back.
    """

    @torch.no_grad()
    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        beside: Sequence[Tensor] = (),
        horizon: float = 1.0,
    ) -> None:
        found = {name: p for name, p in parameters.items() if p.dim() > 1 or p.numel() > _SMALL}
        self._tensors = {name: _Shared(p) for name, p in found.items()}
        small = [p.detach() for name, p in parameters.items() if name not in found]
        self._beside = [*small, *beside]
        self._means = [wide(tensor.clone()) for tensor in self._beside]
        self._horizon, self._taken = horizon, 0

    def energy(self) -> float:
        """Mean of ``h v^2`` over all priced weights: the unit of a price."""
        priced = [t for t in self._tensors.values() if t.priced]
        total = sum(float((t.importance * t.latent**2).sum()) for t in priced)
        return total / sum(t.latent.numel() for t in priced)

    @torch.no_grad()
    def step(self, price: float, phase: Phase = Phase.FREE) -> None:
        """Take up what the optimiser did, and bring every parameter to a shared value again.

        Args:
            price: of a bit, in units of ``h v^2``.
            phase: what codes may do.
        """
        self._taken += 1
        # The first averages reach back to the start, and no further.
        new = max(1 / max(1.0, self._horizon), 10 / (self._taken + 10))
        refresh = self._taken % _REFRESH == 0
        for tensor in self._tensors.values():
            tensor.take_up(new)
            if phase is Phase.FIXED or refresh:
                tensor.recentre()
            if phase is not Phase.FIXED:
                if refresh:
                    tensor.count()
                tensor.codes = tensor.chosen(tensor.latent, price, phase)
            tensor.show()
        for mean, beside in zip(self._means, self._beside, strict=True):
            mean.lerp_(beside.to(mean), new)
        if refresh and phase is not Phase.FIXED:
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

    @contextmanager
    def averaged(
        self, price: float, phase: Phase = Phase.FREE
    ) -> Iterator[tuple[Tensors, Tensors]]:
        """The network as the average of its last steps, for as long as the context lasts.

        Gives its codes (int32) and codebooks in the parameters' types, entries in use alone.
        """
        now = [tensor.clone() for tensor in self._beside]
        with torch.no_grad():
            pairs = {name: t.show_average(price, phase) for name, t in self._tensors.items()}
            _copy(self._means, self._beside)
        try:
            yield (
                {k: codes for k, (codes, _) in pairs.items()},
                {k: b for k, (_, b) in pairs.items()},
            )
        finally:
            with torch.no_grad():
                tensors = self._tensors.values()
                _copy([t.shown for t in tensors], [t.parameter for t in tensors])
                _copy(now, self._beside)

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        means = [mean.clone() for mean in self._means]
        return {"taken": self._taken, "means": means, "tensors": {
            name: tensor.state() for name, tensor in self._tensors.items()
        }}  # fmt: skip

    @torch.no_grad()
    def load(self, state: Mapping[str, Any]) -> None:
        """Take a state up again."""
        self._taken = state["taken"]
        _copy(state["means"], self._means)
        for name, tensor in self._tensors.items():
            tensor.load(state["tensors"][name])


def _copy(sources: Iterable[Tensor], targets: Iterable[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)


class _Shared:
    """One parameter: its latent, its codes and its codebook (without zero, ascending)."""

    _KEPT = ("latent", "mean", "shown", "codes", "book", "share", "zero", "importance", "square")

    def __init__(self, parameter: nn.Parameter) -> None:
        self.parameter, self.priced = parameter, parameter.dim() > 1
        self.latent = wide(parameter.detach().clone(memory_format=torch.contiguous_format))
        self.mean = self.latent.clone()
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
        self.codes = self.chosen(self.latent, 0.0, Phase.FREE)
        self.count()
        self.show()

    def take_up(self, new: float) -> None:
        """The optimiser's step goes to the latent, and as the share ``new`` to its mean."""
        self.latent += self.parameter.detach() - self.shown
        self.mean.lerp_(self.latent, new)
        if self.priced and self.parameter.grad is not None:
            gradient = self.parameter.grad.to(self.square)
            self.square.mul_(_MEMORY).addcmul_(gradient, gradient, value=1 - _MEMORY)

    def chosen(self, latent: Tensor, price: float, phase: Phase) -> Tensor:
        """The codes with the shortest description."""
        if phase is Phase.FIXED:
            return self.codes
        middle = (self.book[1:] + self.book[:-1]) / 2
        nearest = torch.bucketize(latent, middle)
        error = (latent - self.book[nearest]) ** 2 - latent**2
        if self.priced and price:
            bits = (self.zero / (1 - self.zero)).log2() - self.share.log2()
            error = self.importance * error + price * bits[nearest]
        stays = error < 0
        if phase is Phase.LEAVING:
            stays &= self.codes > 0
        return torch.where(stays, nearest + 1, 0)

    def recentre(self) -> None:
        """Entries move to the mean of the latents that they own."""
        self.book = self._centres(self.latent, self.codes)

    def _centres(self, latent: Tensor, codes: Tensor) -> Tensor:
        counts, sums = self._counts(codes), self._counts(codes, latent.flatten())
        return torch.where(counts > 0, sums / counts.clamp(min=1), self.book)

    def count(self) -> None:
        """Shares of the values and of zero, by Laplace's rule."""
        counts = self._counts(self.codes)
        some, every = counts.sum(), self.codes.numel()
        self.share = (counts + 1) / (some + len(counts))
        self.zero = (every - some + 1) / (every + 2)

    def _counts(self, codes: Tensor, of: Tensor | None = None) -> Tensor:
        length = len(self.book) + 1
        return torch.bincount(codes.flatten(), of, minlength=length)[1:].to(self.book)

    def show(self) -> None:
        """The parameter stands at its shared values."""
        self.parameter.copy_(nn.functional.pad(self.book, (1, 0))[self.codes])
        self.shown = self.parameter.detach().clone()

    def show_average(self, price: float, phase: Phase) -> tuple[Tensor, Tensor]:
        """The parameter stands at the shared values of its average: codes and codebook."""
        codes = self.chosen(self.mean, price, phase)
        book = nn.functional.pad(self._centres(self.mean, codes), (1, 0))
        self.parameter.copy_(book[codes])
        codes, book = used_entries(codes, book)
        return codes.cpu(), book.to(self.parameter.dtype).cpu()

    def state(self) -> dict[str, Tensor]:
        return {name: getattr(self, name).clone() for name in self._KEPT}

    def load(self, state: Mapping[str, Tensor]) -> None:
        for name in self._KEPT:
            setattr(self, name, state[name].to(self.parameter.device, copy=True))
        self.show()
