"""Static figures, drawn with matplotlib without pyplot: nothing pops up, no backend is chosen."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox
from torch import Tensor

from nnc.priors import Mixture
from nnc_book.plots.style import (
    LIMITS,
    PALETTE,
    RAMP,
    ROLES,
    colour,
    legend_above,
    new_figure,
    styled,
)

Limits = tuple[float, float]
_BINS = 201
_WEIGHT_TICKS = partial(MaxNLocator, 6, steps=[1, 2, 5, 10])


@styled
def density(mixture: Mixture, l2_sigma: float | None = None, limits: Limits = LIMITS) -> Figure:
    """Density of a mixture on a logarithmic scale, component by component.

    Args:
        mixture: to be drawn.
        l2_sigma: where given, the Gaussian of L2 with this width is drawn beside it.
        limits: of the weight axis.
    """
    figure, axes = new_figure()
    x = _draw_density(axes, mixture, limits)
    if l2_sigma is not None:
        gaussian = torch.exp(-((x / l2_sigma) ** 2) / 2) / (l2_sigma * (2 * np.pi) ** 0.5)
        entry = PALETTE["l2"]
        axes.plot(x, gaussian, color=colour("l2"), ls=entry["line"], label=entry["label"])
    axes.set_xlabel("weight")
    axes.xaxis.set_major_locator(_WEIGHT_TICKS())
    _legend(axes)
    return figure


@styled
def pull(mixture: Mixture, weights: Tensor | Sequence[float], limits: Limits = LIMITS) -> Figure:
    """Density of a mixture and, below it, the force with which it moves a row of weights.

    The arrows are minus the derivative of ``-log p(w)``, as long as they are strong.

    Args:
        mixture: the prior.
        weights: a few numbers.
        limits: of the weight axis.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    top, row = figure.subplots(2, 1, sharex=True, height_ratios=(1.6, 1))
    _draw_density(top, mixture, limits)
    _bands(row, mixture)
    w = torch.as_tensor(weights, dtype=torch.float64).flatten()
    force = -mixture.pull(w)
    height = np.arange(len(w), 0, -1)
    tips = w + 0.14 * (limits[1] - limits[0]) * force / force.abs().max().clamp_min(1e-12)
    row.hlines(height, w, tips, color=colour("weights"), lw=1.6)
    for marker, there in ((">", tips - w), ("<", w - tips)):
        seen = (there > 0.01 * (limits[1] - limits[0])).numpy()
        row.scatter(tips[seen], height[seen], s=30, marker=marker, color=colour("weights"))
    row.scatter(w, height, s=26, color=_owners(mixture, w), zorder=3)
    row.set(xlabel="weight", yticks=(), ylim=(0, len(w) + 1))
    row.xaxis.set_major_locator(_WEIGHT_TICKS())
    row.set_title("pull on each weight")
    row.grid(axis="y", visible=False)
    _legend(top)
    return figure


@styled
def histogram(
    weights: Tensor | np.ndarray,
    mixture: Mixture | None = None,
    limits: Limits = LIMITS,
    label: str = "weights",
) -> Figure:
    """Density of weights on a logarithmic scale, with the components' bands where given.

    Args:
        weights: any shape. How many lie outside the limits is written into the figure.
        mixture: its components are drawn as bands of two standard deviations to either side.
        limits: of the weight axis; the same in all figures of a chapter.
        label: of the weights.
    """
    values = np.asarray(torch.as_tensor(weights).detach().cpu(), dtype=np.float64).ravel()
    figure, axes = new_figure()
    counts, edges = np.histogram(values, bins=_BINS, range=limits)
    level = counts / max(1, len(values)) / (edges[1] - edges[0])
    axes.stairs(level, edges, fill=True, color=colour("weights"), label=label)
    lowest = 1 / max(1, len(values)) / (edges[1] - edges[0])
    axes.set(ylim=(lowest / 2, 2 * max(level.max(), lowest)), xlim=limits)
    axes.set_yscale("log")
    axes.set(xlabel="weight", ylabel="density")
    axes.xaxis.set_major_locator(_WEIGHT_TICKS())
    if mixture is not None:
        _bands(axes, mixture)
        _legend(axes)
    outside = len(values) - int(counts.sum())
    if outside:
        note = f"{outside:,} outside"
        axes.text(0.99, 0.97, note, transform=axes.transAxes, ha="right", va="top")
    return figure


@styled
def joint(counts: np.ndarray, limits: Limits = LIMITS, means: Tensor | None = None) -> Figure:
    """Weights by initial value (after step 1) and current value, counted, on a logarithmic scale.

    The margins count the same weights by one of the two values; the dashed line is no change.

    Args:
        counts: bins × bins, rows by initial value.
        limits: of both axes.
        means: component means, drawn as lines.
    """
    figure = Figure(figsize=(7, 6.4), layout="constrained")
    grid = {"width_ratios": (4, 1), "height_ratios": (1, 4), "wspace": 0.02, "hspace": 0.02}
    (top, empty), (axes, side) = figure.subplots(2, 2, gridspec_kw=grid)
    empty.axis("off")
    ramp = LinearSegmentedColormap.from_list("weights", ["#b9cfe0", colour("zero"), "#0a1a33"])
    image = axes.imshow(
        np.ma.masked_equal(counts.T, 0),
        origin="lower",
        extent=(*limits, *limits),
        norm=LogNorm(1, max(2, counts.max())),
        cmap=ramp,
        interpolation="none",
        aspect="auto",
        gid=RAMP,
    )
    axes.plot(limits, limits, color=colour("baseline"), lw=1.4, ls="dashed")
    for mean in [] if means is None else means.tolist():
        axes.axhline(mean, color=colour("components"), lw=1, alpha=0.7)
    axes.set(xlabel="weight after step 1", ylabel="weight now", xlim=limits, ylim=limits)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_WEIGHT_TICKS())
    edges = np.linspace(*limits, len(counts) + 1)
    for margin, axis, along in ((top, 1, "vertical"), (side, 0, "horizontal")):
        totals = np.maximum(counts.sum(axis), 0.5)
        margin.stairs(
            totals, edges, baseline=0.5, orientation=along, fill=True, color=colour("weights")
        )
        margin.axis("off")
    top.set(yscale="log", xlim=limits)
    side.set(xscale="log", ylim=limits)
    _scale(figure, image, side, "weights in a cell", fraction=0.35, pad=0.02)
    return figure


@styled
def curves(
    rows: Sequence[Mapping[str, float]],
    columns: Mapping[str, str],
    ylabel: str,
    ylim: Limits | None = None,
) -> Figure:
    """Curves over epochs.

    Args:
        rows: a history, one row per epoch.
        columns: which of its columns, and how to call them; at most five.
        ylabel: of the vertical axis.
        ylim: its limits.
    """
    figure, axes = new_figure()
    epochs = [row["epoch"] for row in rows]
    for (column, label), role in zip(columns.items(), ROLES, strict=False):
        values = [row[column] for row in rows]
        axes.plot(epochs, values, ls=PALETTE[role]["line"], color=colour(role), label=label)
    axes.set(xlabel="epoch", ylabel=ylabel, ylim=ylim)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if len(columns) > 1:
        _legend(axes)
    return figure


@styled
def points(
    series: Sequence[Mapping[str, Any]],
    xlabel: str,
    ylabel: str,
    xscale: str = "log",
    yscale: str = "linear",
) -> Figure:
    """Points of several kinds: records filled, trials hollow, published figures as crosses.

    Args:
        series: each with ``x``, ``y``, ``label`` and ``kind`` (``"record"``, ``"trial"`` or
            ``"published"``); optional are ``marker``, ``role`` (a colour of the palette) and
            ``names`` of the points.
        xlabel, ylabel: of the axes.
        xscale, yscale: of the axes, ``"log"`` or ``"linear"``.
    """
    figure, axes = new_figure(height=5.4)
    for one in series:
        shade = colour(one.get("role", POINT_ROLES[one["kind"]]))
        filled = {"color": shade} if one["kind"] != "trial" else {
            "facecolors": "none", "edgecolors": shade, "linewidths": 1.6
        }  # fmt: skip
        axes.scatter(one["x"], one["y"], label=one["label"], marker=one.get("marker", "o"),
                     s=80, zorder=3 if one["kind"] == "record" else 2, **filled)  # fmt: skip
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    axes.margins(0.12, 0.1)
    for axis, scale in ((axes.xaxis, xscale), (axes.yaxis, yscale)):
        if scale == "log":
            _plain_log_ticks(axis)
    _name_points(figure, axes, series)
    _legend(axes)
    return figure


@styled
def assignment(before: Sequence[float], after: Sequence[float]) -> Figure:
    """Weights above, what each becomes below, and the way between; zero has its own colour.

    Args:
        before, after: as many numbers each.
    """
    figure, axes = new_figure(height=3.4)
    for w, level in zip(before, after, strict=True):
        shade = colour("components" if level else "zero")
        axes.plot([w, level], [1, 0], color=shade, linewidth=0.8, alpha=0.5)
    axes.set(xlabel="weight", xlim=LIMITS, yticks=(0, 1), yticklabels=("after", "before"))
    axes.grid(axis="y", visible=False)
    return figure


@styled
def pixels(counts: Tensor | np.ndarray, label: str) -> Figure:
    """One number per input pixel, 28 × 28, as a picture with a scale; pixels of zero stay empty."""
    figure, axes = new_figure(width=5.6, height=4.6)
    values = np.asarray(counts, dtype=np.float64).reshape(28, 28)
    ramp = LinearSegmentedColormap.from_list("pixels", ["#b9cfe0", colour("zero"), "#0a1a33"])
    shown = np.ma.masked_equal(values, 0)
    image = axes.imshow(shown, cmap=ramp, vmin=0, interpolation="none", gid=RAMP)
    axes.set(xticks=(), yticks=())
    axes.spines[:].set_visible(True)
    axes.grid(visible=False)
    bar = _scale(figure, image, axes, label)
    bar.locator = MaxNLocator(5, integer=True)
    bar.update_ticks()
    return figure


@styled
def places(groups: Mapping[str, tuple[Any, Sequence[int]]], roles: Sequence[str]) -> Figure:
    """Points of a few classes on a square, a panel for each group, a mark for each class.

    Args:
        groups: name → the places (N × 2, within about ±1) and the classes, from 0.
        roles: of the palette, one for each class.
    """
    figure = Figure(figsize=(3.6 * len(groups), 3.9), layout="constrained")
    for axes, (name, (where, labels)) in zip(
        np.atleast_1d(figure.subplots(1, len(groups))), groups.items(), strict=True
    ):
        x, y = np.asarray(where, dtype=np.float64).T
        for label, (role, marker) in enumerate(zip(roles, "os^", strict=True)):
            of_class = np.asarray(labels) == label
            axes.scatter(x[of_class], y[of_class], s=26, marker=marker, color=colour(role))
        axes.set(xticks=(), yticks=(), xlim=(-1.3, 1.3), ylim=(1.3, -1.3), aspect="equal")
        axes.set_title(name)
        axes.spines[:].set_visible(True)
    return figure


@styled
def filters(weights: Tensor, columns: int = 8) -> Figure:
    """Filters on red, green and blue as small pictures; a weight of zero is the middle grey.

    Args:
        weights: filters × 3 × height × width. All share one scale.
        columns: filters in a row.
    """
    count, _, height, width = weights.shape
    rows = -(-count // columns)
    figure, axes = new_figure(width=7, height=7 * rows / columns)
    scaled = (0.5 + 0.5 * weights / weights.abs().max().clamp_min(1e-12)).permute(0, 2, 3, 1)
    # Red, green, blue and how opaque: the page's ground shows between the filters.
    canvas = np.zeros((rows * (height + 1) - 1, columns * (width + 1) - 1, 4))
    for number, picture in enumerate(scaled.numpy()):
        row, column = divmod(number, columns)
        top, left = row * (height + 1), column * (width + 1)
        place = (slice(top, top + height), slice(left, left + width))
        canvas[*place, :3], canvas[*place, 3] = picture, 1
    axes.imshow(canvas, interpolation="none")
    axes.axis("off")
    return figure


def _scale(figure: Figure, image: AxesImage, axes: Axes, label: str, **place: Any) -> Colorbar:
    """A scale beside an image, an image like it in the page."""
    bar = figure.colorbar(image, ax=axes, label=label, **place)
    if bar.solids is not None:
        bar.solids.set_rasterized(True)
    bar.ax.set_gid(RAMP)
    return bar


def _draw_density(axes: Axes, mixture: Mixture, limits: Limits) -> Tensor:
    """Draw the parts and their sum; return the points at which they were computed."""
    x = torch.linspace(*limits, 2001, dtype=torch.float64)
    # A component may be narrower than the grid: its mean is a point of its own.
    x = torch.cat([x, mixture.means.to(x).clamp(*limits)]).sort().values
    total = mixture.log_density(x).exp()
    parts = mixture.responsibilities(x) * total[:, None]
    for j in range(len(mixture.means)):
        role = _role(j)
        label = PALETTE[role]["label"] if j < 2 else None
        above = parts[:, j] > 1e-5  # the axis begins at 1e-4
        at, part = x[above], parts[above, j]
        axes.fill_between(at, part, 1e-9, color=colour(role), alpha=0.22, lw=0)
        axes.plot(at, part, color=colour(role), lw=1.6, label=label)
    if len(mixture.means) > 1:
        axes.plot(x, total, color=colour("weights"), label="mixture")
    axes.set(yscale="log", xlim=limits, ylim=(1e-4, 4 * max(float(total.max()), 1)))
    axes.set(ylabel="density")
    return x


def _role(component: int) -> str:
    return "components" if component else "zero"


def _owners(mixture: Mixture, weights: Tensor) -> list[str]:
    return [colour(_role(j)) for j in mixture.responsibilities(weights).argmax(-1).tolist()]


def _bands(axes: Axes, mixture: Mixture) -> None:
    for j, (mean, sigma) in enumerate(zip(mixture.means, mixture.sigmas, strict=True)):
        low, high, shade = float(mean - 2 * sigma), float(mean + 2 * sigma), colour(_role(j))
        axes.axvspan(low, high, color=shade, alpha=0.22, lw=0, zorder=0.5)
        axes.axvline(float(mean), color=shade, lw=1.2, zorder=0.6)


def _legend(axes: Axes) -> None:
    """Above the axes, where it hides nothing; bands have entries of their own."""
    handles, labels = axes.get_legend_handles_labels()
    if not any(label == PALETTE["zero"]["label"] for label in labels) and axes.patches[1:]:
        for role in ("zero", "components"):
            handles.append(Patch(color=colour(role), alpha=0.5))
            labels.append(PALETTE[role]["label"])
    legend_above(axes, handles, labels)


def _plain_log_ticks(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 times a power of ten, written out: 5,000, not 5 × 10³."""
    low, high = axis.get_view_interval()
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [m * 10.0**d for d in decades for m in (1, 2, 5) if low <= m * 10.0**d <= high]
    axis.set_ticks(ticks, labels=[f"{t:,.0f}" if t >= 1 else f"{t:g}" for t in ticks])
    axis.set_ticks([], minor=True)
    axis.set_view_interval(low, high, ignore=True)


def _name_points(figure: Figure, axes: Axes, series: Sequence[Mapping[str, Any]]) -> None:
    """Write names beside their points: right of them, or wherever they hide no other name."""
    figure.draw_without_rendering()
    places = [xy for one in series for xy in zip(one["x"], one["y"], strict=True)]
    reach = 5 / 72 * figure.dpi  # of a mark, which is some 10 points wide
    marks = [
        Bbox.from_extents(x - reach, y - reach, x + reach, y + reach)
        for x, y in axes.transData.transform(places)
    ]
    frame = axes.get_window_extent()
    taken: list[Bbox] = []
    for one in series:
        for x, y, name in zip(one["x"], one["y"], one.get("names", ()), strict=False):
            text = axes.annotate(
                textwrap.fill(name, 19), (x, y), (0, 0), textcoords="offset points", fontsize=12
            )
            for dx, dy, side in _PLACES:
                text.set(position=(dx, dy), ha=side, va="center")
                box = text.get_window_extent().padded(2)
                inside = frame.x0 <= box.x0 and box.x1 <= frame.x1
                clear = not any(box.overlaps(other) for other in taken)
                if inside and clear and not any(box.overlaps(mark) for mark in marks):
                    break
            taken.append(box)


POINT_ROLES = {"record": "student", "trial": "baseline", "published": "teacher"}
_PLACES = [
    (dx, dy, side)
    for dy in (0, 14, -14, 26, -26, 38, -38)
    for dx, side in ((9, "left"), (-9, "right"), (0, "center"))
    if dy or side != "center"
]
