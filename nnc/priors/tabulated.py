"""The summed penalty of a Gaussian mixture over many weights, exactly or from a table.

What a mixture means is in :mod:`nnc.priors`; this module is how it is made fast. Both forms work
through the weights in pieces and collect the gradient of the mixture with the value, so that 17
components over millions of weights never need 17 numbers per weight at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CELLS_PER_SIGMA = 100  # grid cells in one standard deviation of the narrowest component
ROUGH = 0.009  # error of a cell's slope, by the largest slope, from which its points are exact
LONGEST_TABLE = 1 << 21  # nodes that a table may have: at some 40 bytes each, 84 MB
NODES_PER_WEIGHT = 4  # that a table may have: from some thirty on, a table is the slower way


def negative_log_density(
    layers: Sequence[Tensor],
    means: Tensor,
    log_precisions: Tensor,
    log_proportions: Tensor,
    *,
    tabulated: bool,
) -> Tensor:
    """``- sum_i log sum_j pi_j N(x_i | mu_j, 1 / lambda_j)``, differentiable in every argument.

    The table. Nodes ``x_k = min x + k h`` with ``h = sigma_min / CELLS_PER_SIGMA`` span the range
    of the points, and ``f = -log p`` is replaced by its linear interpolant. The sum over the
    points is then ``sum_k H_k f(x_k)``, with H the histogram of the points split linearly between
    neighbouring nodes; the gradient of a point is the slope of its cell. A table longer than
    LONGEST_TABLE, or than NODES_PER_WEIGHT per point, is not made: all points are then exact.

    Error. Within a cell ``|slope - f'| <= h / 2 max |f''|``, which is below 1 % of the largest
    slope but half-way between two narrow components, where the slope changes its sign within less
    than a cell. So where the slopes at a cell's two nodes differ from its own by more than ROUGH
    of the largest one, the few points in that cell are evaluated exactly.

    Args:
        layers: tensors of any shape, in units of weights, all on the device of the rest.
        means, log_precisions, log_proportions: J + 1 each.
        tabulated: whether to use the table.

    Returns:
        A scalar in nats, of the widest dtype among the arguments; NaN where a point is not finite.
    """
    parameters = (means, log_precisions, log_proportions)
    dtype = torch.float32
    for tensor in (*parameters, *layers):
        dtype = torch.promote_types(dtype, tensor.dtype)
    points = [layer.to(dtype) for layer in layers]
    if torch.compiler.is_compiling():
        return _mixture_sum([*parameters, *points], tabulated)[0].to(dtype)
    with torch.autocast(means.device.type, enabled=False):
        grid = _Grid.over(points, log_precisions) if tabulated else None
        function = _Exact if grid is None else _Tabulated
        return function.apply(grid, *parameters, *points).to(dtype)


@torch.library.custom_op(
    "nnc::mixture_sum", mutates_args=(), schema="(Tensor[] arguments, bool tabulated) -> Tensor[]"
)
def _mixture_sum(arguments: list[Tensor], tabulated: bool) -> list[Tensor]:
    """The sum and its gradients, as one operation that a compiler takes as it is.

    The table's size depends on values, so that a graph cannot hold its operations; and an exact
    sum that it can hold takes eight times (vgg13) as long as the table does.
    """
    with torch.autocast(arguments[0].device.type, enabled=False):
        grid = _Grid.over(arguments[3:], arguments[1]) if tabulated else None
        function: Any = _Exact if grid is None else _Tabulated
        kept = SimpleNamespace()  # what forward leaves for backward: no graph is there to keep it
        kept.save_for_backward = lambda *tensors: setattr(kept, "saved_tensors", tensors)
        value = function.forward(kept, grid, *arguments)
        _, *gradients = function.backward(kept, torch.ones_like(value))
    return [value, *(g.to(a.dtype) for g, a in zip(gradients, arguments, strict=True))]


@_mixture_sum.register_fake
def _(arguments: list[Tensor], tabulated: bool) -> list[Tensor]:
    value = arguments[0].new_empty((), dtype=_wide(arguments[0].device))
    return [value, *map(torch.empty_like, arguments)]


def _keep(ctx: Any, inputs: tuple[list[Tensor], bool], output: list[Tensor]) -> None:
    ctx.save_for_backward(*output[1:])


def _scale(ctx: Any, upstream: list[Tensor]) -> tuple[list[Tensor], None]:
    return [upstream[0].to(g.dtype) * g for g in ctx.saved_tensors], None


_mixture_sum.register_autograd(_scale, setup_context=_keep)


class _Components:
    """A mixture as columns (J + 1, 1) of one dtype, with the sums that its gradient needs."""

    def __init__(self, parameters: Sequence[Tensor], dtype: torch.dtype) -> None:
        columns = [p.detach().to(dtype)[:, None] for p in parameters]
        self.means, log_precisions, log_proportions = columns
        self.precisions = log_precisions.exp()
        self.log_heights = log_proportions + (log_precisions - math.log(2 * math.pi)) / 2
        # Over all points so far: sums of r, r (x - mu) and r (x - mu)², in double precision
        # because they grow over millions of points.
        wide = _wide(self.means.device)
        self.sums = torch.zeros(3, len(self.means), dtype=wide, device=self.means.device)

    def evaluate(self, x: Tensor, counts: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``-log p`` and its slope at each of ``x`` (n), which is there ``counts`` (n) times."""
        distance = x - self.means
        joint = torch.addcmul(self.log_heights, distance, distance * self.precisions, value=-0.5)
        top = joint.amax(0)
        shares = joint.sub_(top).exp_()
        total = shares.sum(0)
        values = total.log().add_(top).neg_()
        first = shares.div_(total) * distance
        slopes = self.precisions[:, 0] @ first
        for row, term in zip(self.sums, (shares, first, distance.mul_(first)), strict=True):
            row += term.sum(1) if counts is None else term @ counts
        return values, slopes

    def gradients(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the sum so far, by means, log precisions and log proportions (J + 1 each)."""
        owned, first, second = self.sums
        precisions = self.precisions[:, 0].to(self.sums.dtype)
        return -precisions * first, (precisions * second - owned) / 2, -owned


class _Exact(torch.autograd.Function):
    """The sum, every point evaluated. All gradients are computed with it; backward scales them."""

    @staticmethod
    def forward(ctx: Any, grid: None, *arguments: Tensor) -> Tensor:
        parameters, layers = arguments[:3], arguments[3:]
        components = _Components(parameters, layers[0].dtype)
        value = components.sums.new_zeros(())
        found = []
        for x in layers:
            slopes = torch.empty(x.numel(), dtype=x.dtype, device=x.device)
            size = _piece(x.device, components=len(components.means))
            for piece, into in zip(x.reshape(-1).split(size), slopes.split(size), strict=True):
                values, into[:] = components.evaluate(piece)
                value += values.sum(dtype=value.dtype)
            found.append(_shaped(slopes, x))
        ctx.save_for_backward(*components.gradients(), *found)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        return (None, *(upstream.to(gradient.dtype) * gradient for gradient in ctx.saved_tensors))


class _Grid(NamedTuple):
    """Nodes ``start + k / cells_per_unit`` for k = 0 … length - 1."""

    start: float
    cells_per_unit: float
    length: int

    @classmethod
    def over(cls, layers: Sequence[Tensor], log_precisions: Tensor) -> _Grid | None:
        """The grid for these points, or None where it would not pay (see the public function)."""
        ranges = [torch.stack(torch.aminmax(x.detach())) for x in layers if x.numel()]
        if not ranges:
            return None
        low, high = torch.stack(ranges, 1)
        start, span = low.min(), high.max() - low.min()
        narrowest = log_precisions.detach().max().to(_wide(start.device))
        cells_per_unit = CELLS_PER_SIGMA * (narrowest / 2).exp().item()
        # By the operations of the lookup in the dtype of the points, so that rounding takes no
        # point past the last node. Not finite where a point is not: then there is no table.
        last = (span * cells_per_unit).item()
        longest = min(LONGEST_TABLE, NODES_PER_WEIGHT * sum(x.numel() for x in layers))
        if not last + 2 <= longest:
            return None
        return cls(start.item(), cells_per_unit, int(last) + 2)

    def places(self, piece: Tensor) -> Tensor:
        """Where points are, in cells from the start."""
        return (piece - self.start).mul_(self.cells_per_unit)

    def nodes(self, k: Tensor) -> Tensor:
        """Where nodes are."""
        return (k.to(_wide(k.device)) / self.cells_per_unit).add_(self.start)

    def histogram(self, layers: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Which cells hold a point, and the points split between the nodes (length each)."""
        device = layers[0].device
        count, shift = torch.zeros(2, self.length, dtype=_wide(device), device=device)
        one = count.new_ones(())
        for x in layers:
            for piece in x.reshape(-1).split(_piece(device)):
                place = self.places(piece)
                cell = place.long()
                count.scatter_add_(0, cell, one.expand(len(cell)))
                shift.scatter_add_(0, cell, place.frac_().to(shift.dtype))
        used = count > 0
        count -= shift
        count[1:] += shift[:-1]
        return used, count

    def sum(
        self, components: _Components, used: Tensor, histogram: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The summed interpolant, and for cells in use the slope and whether it is rough."""
        touched = used.clone()
        touched[1:] |= used[:-1]
        nodes = touched.nonzero()[:, 0]
        counts = histogram[nodes]
        pieces = nodes.split(_piece(nodes.device, components=len(components.means)))
        parts = [
            components.evaluate(self.nodes(piece), count)
            for piece, count in zip(pieces, counts.split(len(pieces[0])), strict=True)
        ]
        values, exact = (torch.cat(part) for part in zip(*parts, strict=True))
        # Between nodes that are no neighbours there is no point, and what stands there is not used.
        chords = values.diff().mul_(self.cells_per_unit)
        error = torch.maximum((chords - exact[1:]).abs_(), (chords - exact[:-1]).abs_())
        cells = nodes[:-1]
        slopes = torch.zeros_like(histogram).index_copy_(0, cells, chords)
        rough = used[cells] & (error > ROUGH * exact.abs().max())
        return values @ counts, slopes, torch.zeros_like(used).index_copy_(0, cells, rough)

    def replace(
        self, components: _Components, x: Tensor, rough: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Makes the points of rough cells exact: the change of the sum, which they are, slopes."""
        size, hits, x = _piece(x.device), [], x.reshape(-1)
        for start, piece in zip(range(0, x.numel(), size), x.split(size), strict=False):
            hit = rough.index_select(0, self.places(piece).int())
            hits.append(hit.nonzero()[:, 0].add_(start))
        which = torch.cat(hits) if hits else x.new_empty(0, dtype=torch.int64)
        change, slopes = components.sums.new_zeros(()), []
        for piece in x[which].split(_piece(x.device, components=3 * len(components.means))):
            place = self.places(piece)
            cell, share = place.long(), place.frac().to(change.dtype)
            points = torch.cat([piece.to(change.dtype), self.nodes(cell), self.nodes(cell + 1)])
            counts = torch.cat([torch.ones_like(share), share - 1, -share])
            values, exact = components.evaluate(points, counts)
            change += values @ counts
            slopes.append(exact[: len(piece)])
        return change, which, torch.cat(slopes)

    def look_up(self, slopes: Tensor, x: Tensor) -> Tensor:
        """For each point of x the slope of its cell, flat."""
        found = torch.empty(x.numel(), dtype=slopes.dtype, device=x.device)
        size = _piece(x.device)
        for piece, into in zip(x.reshape(-1).split(size), found.split(size), strict=True):
            torch.index_select(slopes, 0, self.places(piece).int(), out=into)
        return found


class _Tabulated(torch.autograd.Function):
    """The sum of the interpolant. Backward looks the slopes up, already scaled."""

    @staticmethod
    def forward(ctx: Any, grid: _Grid, *arguments: Tensor) -> Tensor:
        parameters, layers = arguments[:3], arguments[3:]
        components = _Components(parameters, _wide(layers[0].device))
        value, slopes, rough = grid.sum(components, *grid.histogram(layers))
        ctx.grid, ctx.exact = grid, []
        if rough.any():
            for x in layers:
                change, which, exact = grid.replace(components, x, rough)
                value += change
                ctx.exact.append((which, exact))
        ctx.save_for_backward(slopes, *components.gradients(), *layers)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        slopes, *mixture = (upstream * saved for saved in ctx.saved_tensors[:4])
        layers = ctx.saved_tensors[4:]
        found = [ctx.grid.look_up(slopes.to(x.dtype), x) for x in layers]
        for flat, (which, exact) in zip(found, ctx.exact, strict=False):
            flat[which] = (upstream * exact).to(flat.dtype)
        return (None, *mixture, *(_shaped(f, x) for f, x in zip(found, layers, strict=True)))


def _shaped(flat: Tensor, like: Tensor) -> Tensor:
    """Numbers in the shape and the order in memory of a tensor."""
    return torch.empty_like(like).copy_(flat.view(like.shape))


def _piece(device: torch.device, components: int = 1) -> int:
    """How many points are handled at once, times components.

    On a processor what fits its cache; elsewhere launching costs more than memory does.
    """
    return (1 << 16 if device.type == "cpu" else 1 << 24) // components


def _wide(device: torch.device) -> torch.dtype:
    """Double precision, except on Apple's GPU, which has none."""
    return torch.float32 if device.type == "mps" else torch.float64
