"""Figures of what a network takes in a file: an interval that narrows, levels, bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from nnc_book.plots.style import PALETTE, colour, new_figure, styled

# Shares of one whole, in the order in which they are stacked.
_PARTS = ("zero", "components", "teacher", "student", "baseline")
_STEP = 1.6  # from one row of the narrowing interval to the next; a row is 0.8 high


@styled
def narrowing(decisions: Sequence[int], probability: float) -> Figure:
    """The interval of an arithmetic coder, decision by decision, each drawn at full width.

    Args:
        decisions: 0 or 1. A 1 keeps the lower part of the interval, a 0 the rest.
        probability: of a 1.
    """
    figure, axes = new_figure(height=0.9 * len(decisions) + 0.9)
    low, width, share = Fraction(0), Fraction(1), Fraction(probability).limit_denominator()
    for row, decision in enumerate(decisions):
        top = -_STEP * row
        sides = {1: (Fraction(0), share), 0: (share, Fraction(1))}
        for bit, (start, end) in sides.items():
            _side(axes, float(start), float(end), top, bit, bit == decision)
        start, end = sides[decision]
        for edge, below in ((start, 0), (end, 1)):
            axes.plot(
                [float(edge), below], [top, top - _STEP + 0.8], color=colour("baseline"), lw=1
            )
        _ends(axes, low, low + width, top + 0.4)
        low, width = low + start * width, (end - start) * width
    bottom = -_STEP * len(decisions)
    axes.broken_barh([(0, 1)], (bottom + 0.4, 0.4), facecolor=colour("weights"))
    _ends(axes, low, low + width, bottom + 0.6)
    axes.set(xlim=(-0.16, 1.16), ylim=(bottom + 0.2, 0.9))
    axes.axis("off")
    return figure


@styled
def levels(matrix: np.ndarray) -> Figure:
    """Where a matrix of levels is not zero, and above it how many weights of each column are not.

    Args:
        matrix: whole numbers, rows × columns; 0 for a zero weight.
    """
    figure = Figure(figsize=(7, 4.6), layout="constrained")
    top, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 4))
    counts = np.count_nonzero(matrix, axis=0)
    edges = np.arange(matrix.shape[1] + 1) - 0.5
    top.stairs(counts, edges, fill=True, color=colour("weights"))
    top.set(ylabel="not zero", yticks=[int(counts.max(initial=0))])
    for role, label, chosen in (
        ("zero", "negative", matrix < 0),
        ("components", "positive", matrix > 0),
    ):
        row, column = chosen.nonzero()
        dots = axes.scatter(column, row, s=1.6, lw=0, marker="s", color=colour(role), label=label)
        dots.set_rasterized(True)  # thousands of them
    axes.set(
        xlim=(edges[0], edges[-1]),
        ylim=(matrix.shape[0] - 0.5, -0.5),
        xlabel="column: input pixel, row of pixels after row of pixels",
        ylabel="row: hidden unit",
    )
    for one in (top, axes):
        one.grid(visible=False)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2,
                  markerscale=8, handletextpad=0.2)  # fmt: skip
    return figure


@styled
def bars(sizes: Mapping[str, float], label: str, marked: str, line: tuple[str, float]) -> Figure:
    """A horizontal bar per name with its number at the end, and a vertical line to compare with.

    Args:
        sizes: name → number, drawn from top to bottom.
        label: of the horizontal axis.
        marked: the name whose bar has the colour of our own results.
        line: what the line is and where it stands.
    """
    figure, axes = new_figure(height=0.9 + 0.5 * len(sizes))
    names = list(sizes)
    colours = [colour("student" if name == marked else "baseline") for name in names]
    drawn = axes.barh(names, list(sizes.values()), color=colours, height=0.66)
    # The line may pass behind a number; the ground keeps it readable.
    behind = {"facecolor": colour("ground"), "edgecolor": "none", "pad": 1.5}
    axes.bar_label(drawn, [f"{size:,.0f}" for size in sizes.values()], padding=5, bbox=behind)
    axes.axvline(line[1], color=colour("weights"), linestyle="dashed", linewidth=1.5)
    axes.annotate(
        line[0], (line[1], 1), xycoords=("data", "axes fraction"), xytext=(4, 3),
        textcoords="offset points", color=colour("weights"), fontsize=12,
    )  # fmt: skip
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.margins(x=0.16)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set(xlabel=label)
    return figure


@styled
def shares_of(parts: Mapping[str, Mapping[str, float]]) -> Figure:
    """Stacked bars: what each of several things is made of, in bytes.

    Args:
        parts: name of a bar → what it is made of → bytes. At most five kinds of parts; each bar
            may lack some.
    """
    kinds = list(dict.fromkeys(kind for bar in parts.values() for kind in bar))
    figure, axes = new_figure(height=0.55 * len(parts) + 1.5)
    place, ends = np.arange(len(parts)), np.zeros(len(parts))
    whole = max(sum(bar.values()) for bar in parts.values())
    for kind, role in zip(kinds, _PARTS, strict=False):
        sizes = np.array([bar.get(kind, 0.0) for bar in parts.values()])
        drawn = axes.barh(place, sizes, 0.7, ends, color=colour(role), label=kind)
        # A number that does not fit into its part is left out.
        texts = [f"{size:,.0f}" if size > 0.07 * whole else "" for size in sizes]
        axes.bar_label(drawn, texts, label_type="center", fontsize=13, color=colour("ground"))
        ends += sizes
    axes.set(yticks=place, yticklabels=list(parts), xlabel="bytes")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(kinds), columnspacing=1.1,
                handletextpad=0.4, borderaxespad=0.2)  # fmt: skip
    return figure


@styled
def sizes_by_share(kept: Sequence[float], sizes: Mapping[str, Sequence[float]]) -> Figure:
    """Bytes against the share of weights that are left, on two logarithmic scales.

    Args:
        kept: shares in (0, 1].
        sizes: name of a curve → bytes at those shares; at most five curves.
    """
    figure, axes = new_figure(height=4.4)
    roles = ("components", "zero", "student", "teacher", "l2")
    for (name, values), role, marker in zip(sizes.items(), roles, "os^Dv", strict=False):
        axes.plot(kept, values, color=colour(role), ls=PALETTE[role]["line"], lw=2, marker=marker,
                  label=name)  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="weights left, %", ylabel="bytes")
    axes.set_xticks(kept, [f"{100 * share:g}" for share in kept])
    low, high = axes.get_ylim()
    ticks = [m * 10**d for d in range(9) for m in (1, 2, 5) if low <= m * 10**d <= high]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.invert_xaxis()
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(sizes), columnspacing=1.1,
                borderaxespad=0.2)  # fmt: skip
    return figure


def _side(axes: Axes, start: float, end: float, top: float, bit: int, kept: bool) -> None:
    """One side of a cut; the one that is not kept is pale."""
    axes.broken_barh(
        [(start, end - start)],
        (top, 0.8),
        facecolor=colour("components" if bit else "zero"),
        alpha=1 if kept else 0.2,
        edgecolor=colour("ground"),
        linewidth=2,
    )
    shade = colour("ground" if kept else "weights")
    text = "not zero" if bit else "zero"
    axes.text((start + end) / 2, top + 0.4, text, ha="center", va="center", color=shade)


def _ends(axes: Axes, low: Fraction, high: Fraction, height: float) -> None:
    """The two ends of an interval, left and right of it."""
    for x, value, side in ((-0.01, low, "right"), (1.01, high, "left")):
        axes.text(x, height, f"{float(value):.4g}", ha=side, va="center", fontsize=13)
