"""The figure of a run within a budget: what it may lose, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nnc_book.plots.style import PALETTE, colour, legend_above, styled


@styled
def budget(history: Sequence[Mapping[str, float]], dense: float, lose: float) -> Figure:
    """Error and bytes over a run within a budget, one above the other.

    Args:
        history: a row per epoch, with ``error`` as a fraction and ``expected_bytes``.
        dense: the error before, a fraction.
        lose: how much it may grow.
    """
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    errors = [100 * row["error"] for row in history]
    above.plot(epochs, errors, color=colour("student"), label="error of the averaged network")
    for value, role, name in ((dense, "baseline", "dense"), (dense + lose, "zero", "allowed")):
        above.axhline(100 * value, color=colour(role), ls=PALETTE[role]["line"], label=name)
    # The first epochs are far off, and would press all others flat.
    above.set(ylabel="error, %", ylim=(0, 100 * (dense + 4 * lose)))
    sizes = [row["expected_bytes"] for row in history]
    below.plot(epochs, sizes, color=colour("components"))
    below.set(yscale="log", ylabel="bytes expected", xlabel="epoch")
    ticks = [digit * 10**power for power in range(1, 9) for digit in (1, 2, 5)]
    shown = [tick for tick in ticks if min(sizes) / 2 <= tick <= max(sizes) * 2]
    below.set_yticks(shown, [f"{tick:,}" for tick in shown])
    below.set_yticks([], minor=True)
    below.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    legend_above(above, *above.get_legend_handles_labels())
    return figure
