"""Figures of distillation: what a teacher finds alike, and students beside one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from torch import Tensor

from nnc_book.calibration import Reliability
from nnc_book.plots.style import MARKERS, PALETTE, RAMP, colour, legend_above, new_figure, styled

_ROLES = ("baseline", "student", "teacher", "components", "zero")


@styled
def soft_targets(logits: Tensor, classes: Sequence[str], label: int) -> Figure:
    """One image's soft targets at T = 1, 4 and 20, side by side; the label's class is marked.

    Args:
        logits: C numbers.
        classes: C names.
        label: the position of the right class.
    """
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    names = [f"✓ {name}" if c == label else name for c, name in enumerate(classes)]
    for axes, temperature in zip(figure.subplots(1, 3, sharey=True), (1, 4, 20), strict=True):
        axes.barh(
            names, torch.softmax(logits / temperature, dim=-1).tolist(), color=colour("teacher")
        )
        axes.set(title=f"T = {temperature}", xlim=(0, 1), xticks=(0, 0.5, 1))
        axes.grid(axis="y", visible=False)
    axes.invert_yaxis()
    return figure


@styled
def answers(image: Tensor, logits: Mapping[str, Tensor]) -> Figure:
    """A digit, and the probabilities that networks give to the ten classes.

    Args:
        image: height × width, pixels.
        logits: network → 10 numbers, at most five networks.
    """
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    left.imshow(np.asarray(image), cmap="gray", interpolation="none")
    left.set_axis_off()
    height = 0.8 / len(logits)
    for n, (name, row) in enumerate(logits.items()):
        places = np.arange(10) + (n - (len(logits) - 1) / 2) * height
        shares = torch.softmax(row, dim=-1).tolist()
        right.barh(places, shares, height, color=colour(_ROLES[1 + n]), label=name)
    right.set(yticks=range(10), xlim=(0, 1), xlabel="probability")
    right.grid(axis="y", visible=False)
    right.invert_yaxis()
    right.legend(loc="lower left", bbox_to_anchor=(-0.1, 1), borderaxespad=0.2)
    return figure


@styled
def similarity(matrix: Tensor | np.ndarray, classes: Sequence[str], label: str) -> Figure:
    """A class-by-class matrix with its values written in, the diagonal left empty.

    Args:
        matrix: C × C; row: the true class, column: the other one. In percent.
        classes: C names.
        label: what a value is.
    """
    values = np.asarray(matrix, dtype=np.float64).copy()
    np.fill_diagonal(values, np.nan)
    figure, axes = new_figure(width=7.4, height=7)
    ramp = LinearSegmentedColormap.from_list("alike", [colour("ground"), colour("teacher")])
    shown = np.ma.masked_invalid(values)
    axes.imshow(shown, cmap=ramp, vmin=0, interpolation="none", gid=RAMP)
    dark = 0.66 * np.nanmax(values)  # from where light digits stand out better than dark ones
    for (row, column), value in np.ndenumerate(values):
        if row != column:
            shade = colour("ground" if value > dark else "weights")
            axes.text(column, row, f"{value:.0f}", ha="center", va="center", color=shade)
    places = range(len(classes))
    axes.set_xticks(places, classes, rotation=50, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, classes)
    axes.set(title=label, ylabel="true class")
    axes.grid(visible=False)
    return figure


@styled
def by_temperature(
    temperatures: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    ylabel: str,
    top: tuple[str, float] | None = None,
) -> Figure:
    """Curves against the temperature, on a logarithmic scale.

    Args:
        temperatures: T, ascending.
        curves: name → a value for each temperature; at most five.
        ylabel: of the vertical axis.
        top: a horizontal line, what it is and where it stands.
    """
    figure, axes = new_figure()
    _lines(axes, temperatures, curves, marked=len(temperatures) < 12)
    if top:
        axes.axhline(top[1], color=colour("weights"), lw=1.4, ls="dashed", label=top[0])
    axes.set(xscale="log", xlabel="temperature T", ylabel=ylabel)
    _ticks_of_temperature(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    legend_above(axes, *axes.get_legend_handles_labels())
    return figure


@styled
def against(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    choice: tuple[str, float],
) -> Figure:
    """Curves against a number that was chosen, and the choice as a vertical line.

    Args:
        x: ascending.
        curves: name → a value for each x; at most four.
        xlabel, ylabel: of the axes.
        choice: what the line is and where it stands.
    """
    figure, axes = new_figure()
    _lines(axes, x, curves, marked=False)
    axes.axvline(choice[1], color=colour("weights"), lw=1.4, ls="dashed", label=choice[0])
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    legend_above(axes, *axes.get_legend_handles_labels())
    return figure


@styled
def seeds(values: Mapping[str, Sequence[float]], xlabel: str, line: str = "") -> Figure:
    """A row of dots per student, one dot a seed, a bar at their mean.

    Args:
        values: name → one value for each seed, drawn from top to bottom.
        xlabel: of the horizontal axis.
        line: the name whose mean is also drawn as a line through all rows.
    """
    figure, axes = new_figure(height=1.0 + 0.62 * len(values))
    for place, (name, numbers) in enumerate(values.items()):
        shade = colour("baseline" if name == line else "student")
        axes.scatter(numbers, [place] * len(numbers), s=70, color=shade, alpha=0.8, zorder=3)
        axes.plot([np.mean(numbers)] * 2, [place - 0.28, place + 0.28], color=shade, lw=2.5)
    if line:
        axes.axvline(float(np.mean(values[line])), color=colour("weights"), lw=1.2, ls="dashed")
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlabel=xlabel, ylim=(len(values) - 0.5, -0.5))
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return figure


@styled
def histories(
    runs: Mapping[str, Sequence[Sequence[Mapping[str, float]]]], column: str, ylabel: str
) -> Figure:
    """Learning curves of several students, a thin line per seed.

    Args:
        runs: name → for each seed a history, a row per epoch.
        column: which of its columns.
        ylabel: of the vertical axis.
    """
    figure, axes = new_figure()
    for (name, seeds_of), role in zip(runs.items(), _ROLES, strict=False):
        for number, rows in enumerate(seeds_of):
            axes.plot([row["epoch"] for row in rows], [row[column] for row in rows], lw=1.7,
                      color=colour(role), ls=PALETTE[role]["line"],
                      label=None if number else name)  # fmt: skip
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    legend_above(axes, *axes.get_legend_handles_labels())
    return figure


@styled
def reliability(diagrams: Mapping[str, Reliability]) -> Figure:
    """Reliability diagrams in one: share of right answers against confidence.

    Args:
        diagrams: name → bins; at most five. Bins of fewer than 20 answers are left out.
    """
    figure, axes = new_figure(height=5.6)  # wide enough for the legend
    axes.plot([0, 1], [0, 1], color=colour("weights"), lw=1.2, ls="dashed")
    for (name, bins), role, marker in zip(diagrams.items(), _ROLES, MARKERS, strict=False):
        kept = bins.count >= _FEWEST
        axes.plot(bins.confidence[kept], bins.accuracy[kept], color=colour(role), marker=marker,
                  ls=PALETTE[role]["line"], label=name)  # fmt: skip
    axes.set(xlabel="confidence", ylabel="share of right answers", xlim=(0.2, 1), ylim=(0.2, 1))
    axes.set_aspect("equal")
    legend_above(axes, *axes.get_legend_handles_labels())
    return figure


_FEWEST = 20  # answers in a bin: fewer say little about their share of right ones


@styled
def gains(values: Mapping[str, Sequence[float]], xlabel: str) -> Figure:
    """Gain or loss by name: a dot a seed around a line at zero, and a bar at their mean.

    Args:
        values: name → one difference for each seed.
        xlabel: of the horizontal axis.
    """
    figure, axes = new_figure(height=1.0 + 0.42 * len(values))
    for place, numbers in enumerate(values.values()):
        mean = float(np.mean(numbers))
        shade = colour("student" if mean >= 0 else "components")
        axes.barh(place, mean, 0.62, color=shade, alpha=0.45)
        axes.scatter(numbers, [place] * len(numbers), s=26, color=shade, zorder=3)
    axes.axvline(0, color=colour("weights"), lw=1.2)
    axes.set_yticks(range(len(values)), list(values))
    axes.set(xlabel=xlabel)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    return figure


def _lines(
    axes: Axes, x: Sequence[float], curves: Mapping[str, Sequence[float]], marked: bool
) -> None:
    for (name, values), role, marker in zip(curves.items(), _ROLES[1:], MARKERS, strict=False):
        axes.plot(x, values, color=colour(role), ls=PALETTE[role]["line"],
                  marker=marker if marked else None, label=name)  # fmt: skip


def _ticks_of_temperature(axes: Axes) -> None:
    low, high = axes.get_xlim()
    ticks = [t for t in (0.5, 1, 2, 4, 8, 16, 32, 64, 128) if low <= t <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
