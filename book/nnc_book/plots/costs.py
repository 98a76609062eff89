"""Figures of what sparsity and compression cost and buy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from nnc_book.plots.style import MARKERS, PALETTE, ROLES, colour, legend_above, new_figure, styled


@styled
def breakeven(
    sparsities: Sequence[float], ratios: Mapping[str, Sequence[float]], ylabel: str
) -> Figure:
    """Time as a multiple of the dense one, on a logarithmic scale; below the line it pays.

    Args:
        sparsities: shares of zeros, ascending, each at its own place whatever its distance.
        ratios: name → one multiple for each; at most five.
        ylabel: of the vertical axis.
    """
    figure, axes = new_figure(height=4.6)
    places = range(len(sparsities))
    axes.axhline(1, color=colour("weights"), lw=1.4, ls="dashed")
    for (name, values), role, marker in zip(ratios.items(), ROLES, MARKERS, strict=False):
        axes.plot(
            places, values, marker=marker, color=colour(role), ls=PALETTE[role]["line"], label=name
        )
    axes.set(yscale="log", xlabel="share of weights that are zero", ylabel=ylabel)
    axes.set_xticks(places, [f"{share:g}" for share in sparsities])
    low, high = axes.get_ylim()
    ticks = [t for t in (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if low <= t <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
    legend_above(axes, *axes.get_legend_handles_labels())
    return figure


@styled
def steps(names: Sequence[str], values: Sequence[float], xlabel: str) -> Figure:
    """One bar per step of a pipeline, on a logarithmic scale, its value written beside it.

    Args:
        names: of the steps, from top to bottom.
        values: one for each, > 0.
        xlabel: of the horizontal axis.
    """
    figure, axes = new_figure(height=1.2 + 0.55 * len(names))
    axes.barh(range(len(names)), values, color=colour("student"), height=0.6)
    for place, value in enumerate(values):
        axes.annotate(f"{value:,.0f}", (value, place), (6, 0), textcoords="offset points",
                      va="center")  # fmt: skip
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xscale="log", xlabel=xlabel)
    axes.set_xlim(min(values) / 3, max(values) * 6)
    axes.grid(visible=False)
    return figure
