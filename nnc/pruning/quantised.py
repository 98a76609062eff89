"""A quantised network as a value: integer codes, a codebook per tensor, and the rest as it was."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from nnc.hints import check
from nnc.weights import load_plain, plain_state

FLOATS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
"""Types that a quantised weight can have."""


@dataclass(frozen=True, eq=False)
class Quantised:
    """Weights as codes into codebooks: ``weight[i] = codebook[codes[i]]``, code 0 being zero.

    Args:
        codes: name → int32 tensor of the weight's shape; empty for a network as it is.
        codebooks: name → K values in units of weights and of the weight's own floating type, the
            first exactly 0.
        rest: every other entry of the network's ``state_dict`` (biases, buffers), unquantised.
        ties: name → the name, in codes or rest, whose tensor it is too.

    Raises:
        ValueError: names, types or values do not fit together.
    """

    codes: Mapping[str, Tensor]
    codebooks: Mapping[str, Tensor]
    rest: Mapping[str, Tensor]
    ties: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.codes.keys() != self.codebooks.keys():
            books, wanted = sorted(self.codebooks), sorted(self.codes)
            raise ValueError(f"codebooks has the names {books}, must have those of codes, {wanted}")
        for name, tensor in self.rest.items():
            _check_dense(f"rest[{name!r}]", tensor)
        twice = self.codes.keys() & self.rest.keys()
        if twice:
            raise ValueError(f"rest has {sorted(twice)}, which codes has too; keep one of them")
        for name, codes in self.codes.items():
            _check(name, codes, self.codebooks[name])
        known = self.codes.keys() | self.rest.keys()
        for name, owner in self.ties.items():
            fits = name not in known and owner in known
            check(f"ties[{name!r}]", owner, fits, "in codes or rest, and the name in neither")

    def weight(self, name: str) -> Tensor:
        """The weights of one tensor, in its shape and type."""
        name = self.ties.get(name, name)
        return self.codebooks[name][self.codes[name].long()]

    def state_dict(self) -> dict[str, Tensor]:
        """Every entry of the network's ``state_dict``; names that are tied have one tensor."""
        state = {name: self.weight(name) for name in self.codes} | dict(self.rest)
        return state | {name: state[owner] for name, owner in self.ties.items()}

    def load_into(self, model: nn.Module) -> nn.Module:
        """Copy the weights into a model of the same architecture, and return it.

        Masks and parametrisations come off it (as by ``nnc.make_plain``), wrappers stay. Other
        names or shapes, or ties between what differs here, are a ValueError that changes nothing.
        """
        state, own = self.state_dict(), plain_state(model)
        shapes, wanted = ({k: t.shape for k, t in s.items()} for s in (state, own))
        wrong = sorted(k for k in shapes | wanted if shapes.get(k) != wanted.get(k))
        told = f"model {type(model).__name__}"
        if wrong:
            remedy = "build the architecture that was quantised"
            raise ValueError(f"{told} does not fit the quantised network at {wrong[0]}; {remedy}")
        for name, owner in shared(own).items():
            if not torch.equal(state[name], state[owner]):
                differ = "which differ in the quantised network; give it a tensor for each"
                raise ValueError(f"{told} ties {name} to {owner}, {differ}")
        load_plain(model, state)
        return model

    def sparsity(self, name: str | None = None) -> float:
        """Share of prunable weights that are exactly zero, in [0, 1]; 0 where there are none.

        Args:
            name: of a coded tensor; all coded tensors of two or more dimensions unless given.
        """
        prunable = [codes for codes in self.codes.values() if codes.dim() >= 2]
        codes = prunable if name is None else [self.codes[self.ties.get(name, name)]]
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
            names: of the tensors to be coded, which must be there and finite (else a ValueError);
                the others become the rest. Codebooks are zero, then ascending.
        """
        names = list(names)
        missing = [name for name in names if name not in state]
        if missing:
            raise ValueError(f"names has {missing[0]!r}, state has {sorted(state)}")
        codes, codebooks = {}, {}
        for name in names:
            weight = state[name].detach().cpu()
            check(f"state[{name!r}]", weight, bool(torch.isfinite(weight).all()), "finite")
            levels = torch.unique(weight)
            book = codebooks[name] = torch.cat([levels.new_zeros(1), levels[levels != 0]])
            ascending, order = book.sort()
            codes[name] = order[torch.searchsorted(ascending, weight.contiguous())].int()
        return cls.beside(state, codes, codebooks)

    @classmethod
    def beside(
        cls,
        state: Mapping[str, Tensor],
        codes: Mapping[str, Tensor],
        codebooks: Mapping[str, Tensor],
    ) -> Quantised:
        """Codes and codebooks with everything else of a ``state_dict`` as the rest, copied."""
        ties = shared(state, codes)
        codes = {k: v for k, v in codes.items() if k not in ties}
        known = codes.keys() | ties.keys()
        rest = {k: v.detach().cpu().clone() for k, v in state.items() if k not in known}
        return cls(codes, {k: codebooks[k] for k in codes}, rest, ties)


def shared(state: Mapping[str, Tensor], first: Collection[str] = ()) -> dict[str, str]:
    """The entries of a ``state_dict`` that are the same memory as another: name → that name.

    Args:
        state: a ``state_dict``, all of it tensors of numbers in memory (else a ValueError).
        first: names that others are tied to; else it is the first name of each tensor.
    """
    check("state", state, isinstance(state, Mapping), "what model.state_dict() gives")
    owners: dict[tuple[object, ...], str] = {}
    ties: dict[str, str] = {}
    for name in sorted(state, key=lambda name: name not in first):
        tensor = state[name]
        _check_dense(f"state[{name!r}]", tensor)
        if tensor.numel():
            memory = tensor.data_ptr(), tensor.device, tensor.dtype, tensor.shape, tensor.stride()
            owner = owners.setdefault(memory, name)
            ties |= {name: owner} if owner != name else {}
    return ties


def used_entries(codes: Tensor, codebook: Tensor) -> tuple[Tensor, Tensor]:
    """Codes, int32, and a codebook without the entries that nobody uses; entry 0 stays."""
    used = torch.bincount(codes.flatten(), minlength=len(codebook)) > 0
    used[0] = True
    renumbered = used.cumsum(0) - 1
    return renumbered[codes].int(), codebook[used]


def entropy(codes: Tensor) -> float:
    """Bits of all codes at their own entropy."""
    counts = torch.bincount(codes.flatten())
    counts = counts[counts > 0].double()
    return float(-(counts * (counts / counts.sum()).log2()).sum())


def _check_dense(name: str, tensor: object) -> None:
    layout = tensor.layout if isinstance(tensor, Tensor) else None
    dense = layout == torch.strided and not tensor.is_meta  # type: ignore[attr-defined]
    more = "" if layout in (None, torch.strided) else f", not {layout}"
    allowed = f"a dense tensor with numbers in memory{more}; leave it out or make it one"
    check(name, tensor, dense, allowed)


def _check(name: str, codes: Tensor, codebook: Tensor) -> None:
    check(f"codes[{name!r}]", codes, codes.dtype == torch.int32, "torch.int32")
    fits = codebook.dtype in FLOATS and codebook.dim() == 1 and len(codebook) > 0
    allowed = "float32, float16, bfloat16 or float64 of one dimension, with at least one entry"
    check(f"codebooks[{name!r}]", codebook, fits, allowed)
    if not bool(torch.isfinite(codebook).all()) or codebook[0] != 0:
        raise ValueError(f"codebooks[{name!r}] must be finite and start with 0.0")
    for end in codes.aminmax() if codes.numel() else ():
        allowed = f"from 0 and below the {len(codebook)} entries of its codebook"
        check(f"a code of codes[{name!r}]", int(end), bool(0 <= end < len(codebook)), allowed)
