"""Hidden units in the order in which alike ones are neighbours, so that the file is smaller."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nnc.pruning.quantised import Quantised
from nnc.weights import make_plain, unwrapped

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_TOLERANCE = 1e-4  # of the largest answer, for float32 sums in another order
State = Mapping[str, Tensor]


class _Units(NamedTuple):
    """So many units, the tensors with a row for each, and the matrices with columns for each."""

    number: int
    rows: tuple[str, ...]
    columns: tuple[str, ...]


@torch.no_grad()
def sort_units(quantised: Quantised, model: nn.Module, inputs: Tensor) -> Quantised:
    """Order hidden units and channels so that those with zeros at the same places are neighbours.

    The unit with the fewest weights in and out comes last, and before each the one whose zeros
    differ from its own at the fewest places; coders that look at what is near then write less.

    Args:
        model: its architecture, which stays as it is. In the order of registration, a layer is
            tried with the next, batch norm and the like between them; then all that is left of
            one width, which may be a residual stream. Units keep their order where, with random
            weights, another one changes the answers, and where tensors are tied.
        inputs: a few inputs of the model, for which answers stay the same up to rounding.
    """
    probe = unwrapped(make_plain(copy.deepcopy(model))).float().eval()
    ties = quantised.ties.keys() | set(quantised.ties.values())
    codes, rest = dict(quantised.codes), dict(quantised.rest)
    for units in _exchangeable(probe, inputs.float() if inputs.is_floating_point() else inputs):
        if not ties & {*units.rows, *units.columns}:
            order = _alike(codes | rest, units)
            codes, rest = _ordered(codes, units, order), _ordered(rest, units, order)
    return replace(quantised, codes=codes, rest=rest)


def _exchangeable(probe: nn.Module, inputs: Tensor) -> Iterator[_Units]:
    """All units that may stand in any order; the probe is given random weights."""
    state = _any_weights(probe.state_dict())
    probe.load_state_dict(state)
    answers = probe(inputs)
    most = _TOLERANCE * answers.abs().max().clamp(min=1)

    def free(units: _Units) -> bool:
        """Whether two may change places and all move on by one: then any order may be."""
        places = torch.arange(units.number)
        for order in (places.roll(1), torch.cat([places[:2].flip(0), places[2:]])):
            probe.load_state_dict(_ordered(state, units, order))
            if not (probe(inputs) - answers).abs().max() <= most:
                return False
        return units.number > 1

    layers = _layers(probe)
    rows, columns = list(layers), list(layers)  # of layers that are in no pair
    for one, other in pairwise(layers):
        pair = one._replace(columns=other.columns)
        if one.number and state[other.columns[0]].shape[1] % one.number == 0 and free(pair):
            rows.remove(one)
            columns.remove(other)
            yield pair
    for number in {one.number for one in rows}:
        written = [name for one in rows if one.number == number for name in one.rows]
        read = [c for one in columns for c in one.columns if state[c].shape[1] == number]
        if read and free(stream := _Units(number, tuple(written), tuple(read))):
            yield stream


def _layers(model: nn.Module) -> list[_Units]:
    """Layers in the order of registration: their units, and as columns those of their inputs."""
    found: list[_Units] = []
    for path, module in model.named_modules():
        own = {} if list(module.children()) else module.state_dict(prefix=f"{path}." * bool(path))
        wide = tuple(name for name, tensor in own.items() if tensor.dim())
        if isinstance(module, _LAYERS) and getattr(module, "groups", 1) == 1:
            # By its dimensions: what was parametrised has its weight behind its bias.
            weight = tuple(name for name in wide if own[name].dim() > 1)
            found.append(_Units(len(module.weight), wide, weight))
        elif found and all(len(own[name]) == found[-1].number for name in wide):
            # Batch norm, slopes, depthwise kernels: what has one row for each unit goes along.
            found[-1] = found[-1]._replace(rows=found[-1].rows + wide)
    return found


def _any_weights(state: State) -> dict[str, Tensor]:
    """Random numbers: vectors positive, as variances must be, matrices such that signals stay."""
    draws = torch.Generator().manual_seed(0)

    def draw(old: Tensor) -> Tensor:
        if old.dim() < 2:
            return torch.rand(old.shape, generator=draws) + 0.5
        return torch.randn(old.shape, generator=draws) * (len(old) / max(1, old.numel())) ** 0.5

    return {name: draw(t) if t.is_floating_point() else t.clone() for name, t in state.items()}


def _alike(state: State, units: _Units) -> Tensor:
    """The order: found from its end, the unit with the fewest weights."""
    patterns = [state[name].flatten(1) for name in units.rows if state[name].dim() > 1]
    patterns += [_split(state[name], units).transpose(0, 1).flatten(1) for name in units.columns]
    seen = (torch.cat(patterns, 1) != 0).float()
    apart = seen.sum(1)[:, None] + seen.sum(1) - 2 * seen @ seen.T
    order = [int(seen.sum(1).argmin())]
    while len(order) < units.number:
        apart[:, order[-1]] = torch.inf
        order.append(int(apart[order[-1]].argmin()))
    return torch.tensor(order).flip(0)


def _split(matrix: Tensor, units: _Units) -> Tensor:
    """Rows × units × columns of each unit."""
    return matrix.flatten(1).unflatten(1, (units.number, -1))


def _ordered(state: State, units: _Units, order: Tensor) -> dict[str, Tensor]:
    """The tensors, with the units in another order."""
    found = dict(state)
    for name in state.keys() & units.rows:
        found[name] = found[name][order]
    for name in state.keys() & units.columns:
        found[name] = _split(found[name], units)[:, order].reshape(found[name].shape)
    return found
