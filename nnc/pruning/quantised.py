"""A quantised network as a value: integer codes, a codebook per tensor, and the rest as it was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Quantised:
    """Weights as codes into codebooks: ``weight[i] = codebook[codes[i]]``, code 0 being zero.

    Args:
        codes: name → int32 tensor of the weight's shape; empty for a network as it is.
        codebooks: name → float32 tensor, K values in units of weights, the first exactly 0.
        rest: every other entry of the network's ``state_dict`` (biases, buffers), unquantised.

    Raises:
        ValueError: names, types or values do not fit together.
    """

    codes: Mapping[str, Tensor]
    codebooks: Mapping[str, Tensor]
    rest: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        if self.codes.keys() != self.codebooks.keys():
            raise ValueError(
                f"codebooks has the names {sorted(self.codebooks)}, must have those of codes, "
                f"{sorted(self.codes)}"
            )
        twice = self.codes.keys() & self.rest.keys()
        if twice:
            raise ValueError(f"rest has {sorted(twice)}, which codes has too; keep one of them")
        for name, codes in self.codes.items():
            _check(name, codes, self.codebooks[name])

    def weight(self, name: str) -> Tensor:
        """The weights of one tensor, float32, in its shape."""
        return self.codebooks[name][self.codes[name].long()]

    def state_dict(self) -> dict[str, Tensor]:
        """Every entry of the network's ``state_dict``, ready for ``load_state_dict``."""
        return {name: self.weight(name) for name in self.codes} | dict(self.rest)

    def load_into(self, model: nn.Module) -> nn.Module:
        """Copy the weights into a model of the same architecture, and return it.

        Raises:
            ValueError: the model has other parameter names or shapes; it is left unchanged.
        """
        state, own = self.state_dict(), model.state_dict()
        wrong = sorted(
            name
            for name in state.keys() | own.keys()
            if name not in state or name not in own or state[name].shape != own[name].shape
        )
        if wrong:
            raise ValueError(
                f"model {type(model).__name__} does not fit the quantised network at {wrong[0]}; "
                "build the architecture that was quantised"
            )
        model.load_state_dict(state)
        return model

    def sparsity(self, name: str | None = None) -> float:
        """Share of prunable weights that are exactly zero, of one tensor or of all.

        Args:
            name: of a coded tensor; all coded tensors of two or more dimensions unless given.

        Returns:
            A fraction in [0, 1]; 0 where there are no weights.
        """
        prunable = [codes for codes in self.codes.values() if codes.dim() >= 2]
        codes = prunable if name is None else [self.codes[name]]
        total = sum(c.numel() for c in codes)
        return sum(int((c == 0).sum()) for c in codes) / total if total else 0.0

    def compression_ratio(self, file_bytes: int) -> float:
        """Bytes of all parameters as float32, divided by the bytes of the whole file.

        Parameters are the coded weights and the floating entries of the rest (which counts the
        running statistics of batch normalisation too: inference needs them).
        """
        scalars = sum(codes.numel() for codes in self.codes.values())
        scalars += sum(t.numel() for t in self.rest.values() if t.is_floating_point())
        return 4 * scalars / file_bytes

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], names: Iterable[str]) -> Quantised:
        """Take a network apart whose weights already have few distinct values.

        Args:
            state: a ``state_dict``.
            names: of the tensors to be coded; the others become the rest.

        Returns:
            A value whose ``state_dict`` equals ``state``; codebooks are zero, then ascending.

        Raises:
            ValueError: a named tensor is missing or not finite.
        """
        names = list(names)
        missing = [name for name in names if name not in state]
        if missing:
            raise ValueError(f"names has {missing[0]!r}, state has {sorted(state)}")
        codes, codebooks = {}, {}
        for name in names:
            weight = state[name].detach().cpu().float()
            if not bool(torch.isfinite(weight).all()):
                raise ValueError(
                    f"state[{name!r}] has values that are NaN or infinite, must be finite"
                )
            levels = torch.unique(weight)
            codebooks[name] = torch.cat([torch.zeros(1), levels[levels != 0]])
            codes[name] = _positions(weight, codebooks[name])
        return cls.beside(state, codes, codebooks)

    @classmethod
    def beside(
        cls,
        state: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        codebooks: Mapping[str, Tensor],
    ) -> Quantised:
        """Codes and codebooks with everything else of a ``state_dict`` as the rest, copied."""
        rest = {k: v.detach().cpu().clone() for k, v in state.items() if k not in codes}
        return cls(codes, codebooks, rest)


def _positions(weight: Tensor, codebook: Tensor) -> Tensor:
    """Codes of weights that occur in a codebook of zero and then ascending values."""
    ascending, order = codebook.sort()
    return order[torch.searchsorted(ascending, weight.contiguous())].int()


def _check(name: str, codes: Tensor, codebook: Tensor) -> None:
    if codes.dtype != torch.int32:
        raise ValueError(f"codes[{name!r}] has type {codes.dtype}, must be torch.int32")
    if codebook.dtype != torch.float32 or codebook.dim() != 1 or len(codebook) == 0:
        raise ValueError(
            f"codebooks[{name!r}] has type {codebook.dtype} and shape {tuple(codebook.shape)}, "
            "must be torch.float32 with one dimension and at least one entry"
        )
    if not bool(torch.isfinite(codebook).all()) or codebook[0] != 0:
        raise ValueError(f"codebooks[{name!r}] must be finite and start with 0.0")
    if codes.numel() and (int(codes.min()) < 0 or int(codes.max()) >= len(codebook)):
        raise ValueError(
            f"codes[{name!r}] runs from {int(codes.min())} to {int(codes.max())}, must lie below "
            f"the {len(codebook)} entries of its codebook"
        )
