"""The interactive figure *The front*: results, trials and published figures, each with its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import traitlets
from matplotlib.figure import Figure

from nnc_book import plots
from nnc_book.widgets.still import WithStill, script

_CSS = """
.nnc-front .title{margin:0 0 6px;font-weight:600}
.nnc-front .groups{gap:0;margin:0 0 4px}
.nnc-front .groups label{flex:none;min-height:44px;margin-right:18px;gap:6px;cursor:pointer}
.nnc-front .groups label span{min-width:0}
.nnc-front .groups input{width:20px;height:20px;margin:0;accent-color:var(--zero)}
.nnc-front .groups svg{margin:0;overflow:visible}
.nnc-front svg{touch-action:pan-y}
.nnc-front .mark{fill:var(--tone);stroke:var(--tone);stroke-width:1.6}
.nnc-front .trial{fill:none}
.nnc-front .published{fill:none;stroke-width:2.6}
.nnc-front .ring{fill:none;stroke:var(--weights);stroke-width:2}
.nnc-front .guide{stroke:var(--baseline);stroke-dasharray:4 4;fill:none}
"""


class Front(WithStill):
    """Points on two logarithmic axes, by group; the chosen one says what it is.

    Groups are switched on and off. A pointer chooses the nearest point, the slider or the arrow
    keys go through all that are shown, from left to right.

    Args:
        series: groups as for ``nnc_book.plots.points``: each with ``x`` and ``y`` (lists of
            positive numbers), ``label`` and ``kind`` (``"record"``, ``"trial"`` or
            ``"published"``), optionally ``marker`` and ``role``, and besides ``notes``: what to
            say of each point.
        xlabel, ylabel: what the axes are: ``"name, unit"``, or a unit alone.
        title: whose points these are; it stands above them.
        chosen: the point that is named, a position among all points of all groups.

    Raises:
        traitlets.TraitError: a list has another length than ``x``, a number is not positive, or
            there is no such point.
    """

    _esm = script("front.js")
    _css = plots.FIGURE_CSS + _CSS

    series = traitlets.List(traitlets.Dict(), minlen=1).tag(sync=True)
    xlabel = traitlets.Unicode().tag(sync=True)
    ylabel = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    chosen = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(
        self, series: Sequence[Mapping[str, Any]], xlabel: str, ylabel: str, **traits: Any
    ) -> None:
        groups = [{"role": plots.POINT_ROLES[one["kind"]], "marker": "o", **one} for one in series]
        super().__init__(series=groups, xlabel=xlabel, ylabel=ylabel, **traits)
        if self.chosen >= sum(len(one["x"]) for one in groups):
            raise traitlets.TraitError(f"chosen is {self.chosen}, there are fewer points")

    @traitlets.validate("series")
    def _complete(self, proposal: Any) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = proposal["value"]
        for one in groups:
            for key in ("y", "notes"):
                if len(one[key]) != len(one["x"]):
                    raise traitlets.TraitError(
                        f"{key} of {one['label']!r} has {len(one[key])} entries, must have "
                        f"{len(one['x'])}, one for each x"
                    )
            if not all(0 < value < math.inf for value in (*one["x"], *one["y"])):
                raise traitlets.TraitError(f"x and y of {one['label']!r} must be positive")
        return groups

    def __repr__(self) -> str:
        return f"Front({', '.join(one['label'] for one in self.series)})"

    def still(self) -> Figure:
        """The figure with every group, without anything to choose."""
        return plots.points(self.series, self.xlabel, self.ylabel, yscale="log")
