"""Figures of the chapter on storing: bytes by coder, and an interval that narrows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnc.plots.style import colour, new_figure, styled


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
def interval(steps: Sequence[tuple[Fraction, Fraction, str]]) -> Figure:
    """What is left of the interval from 0 to 1 after each decision, a bar below the other.

    Args:
        steps: per decision the low end, the width, and what was decided.
    """
    figure, axes = new_figure(height=1.2 + 0.55 * len(steps))
    for place, (low, width, decided) in enumerate(steps):
        axes.barh(place, 1, color=colour("grid"), height=0.6)
        axes.barh(place, float(width), left=float(low), color=colour("zero"), height=0.6)
        axes.annotate(
            decided, (1, place), xytext=(8, 0), textcoords="offset points", va="center",
            color=colour("weights"), annotation_clip=False,
        )  # fmt: skip
    axes.set(yticks=(), xlim=(0, 1), xlabel="the interval from 0 to 1")
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    return figure
