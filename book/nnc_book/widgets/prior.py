"""The interactive figure *Prior*: from one Gaussian (L2) to a mixture, and its pull on weights."""

from __future__ import annotations

import math
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure

from nnc.priors import Mixture
from nnc_book import plots
from nnc_book.widgets.still import WithStill, script

_ROW = [round(-0.92 + 0.08 * i, 2) for i in range(24)]
_CSS = """
.nnc-prior .legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:6px 0 0}
.nnc-prior .legend span::before{content:"";display:inline-block;width:1em;height:1em;
 margin-right:6px;border-radius:3px;vertical-align:-0.12em;background:var(--tone)}
.nnc-prior .zero{--tone:var(--zero)}
.nnc-prior .components{--tone:var(--components)}
.nnc-prior .l2{--tone:var(--l2)}
.nnc-prior svg{touch-action:pan-y}
.nnc-prior .title{font-weight:600}
.nnc-prior .lane{fill:var(--grid);opacity:.35}
.nnc-prior rect.zero,.nnc-prior rect.components,.nnc-prior rect.l2{fill:var(--tone);opacity:.16}
.nnc-prior .fills path{fill:none;stroke:var(--tone);stroke-width:1.4}
.nnc-prior .fills .area{fill:var(--tone);fill-opacity:.22;stroke:none}
.nnc-prior .total,.nnc-prior .curve{fill:none;stroke:var(--weights);stroke-width:2.2}
.nnc-prior circle.zero,.nnc-prior circle.components,.nnc-prior circle.l2{fill:var(--tone);
 stroke:var(--ground)}
.nnc-prior .arrows path{fill:none;stroke:var(--weights);stroke-width:1.4}
.nnc-prior .handle{cursor:ew-resize;outline:none}
.nnc-prior .hit{fill:transparent}
.nnc-prior circle.pin{fill:none;stroke:var(--tone);stroke-width:2;stroke-dasharray:3 3}
.nnc-prior .handle:focus .hit{stroke:var(--weights);stroke-width:2.5}
.nnc-prior .knob{fill:var(--tone);stroke:var(--ground);stroke-width:1.5}
.nnc-prior .span{fill:none;stroke:var(--tone);stroke-width:4;stroke-linecap:round}
.nnc-prior .handle text{fill:var(--ground);font-weight:700;pointer-events:none}
"""


class Prior(WithStill):
    """A Gaussian mixture to be moved by hand, from one Gaussian (L2) to eight components.

    Means and widths are dragged or moved with the arrow keys. The arrows are minus the derivative
    of the penalty ``-log p(w)``; at play or step, and only then, the weights follow them by
    gradient descent. All of it is computed in the page; where a kernel runs, the traits follow.

    Args:
        means: of the components besides the zero component, at most 7, within ±1.
        sigmas: widths, the zero component's first, one more than means; 0.01 to 0.5, in units of
            weights.
        pi_0: share of the zero component, from 0.001 to 0.999; the others share the rest equally.
            A component by itself has all of it.
        weights: the row of weights that the prior pulls, within ±1.

    Raises:
        traitlets.TraitError: a value is out of range, or there is not one width per component.
    """

    _esm = script("prior.js")
    _css = plots.FIGURE_CSS + _CSS

    means = traitlets.List(traitlets.Float(min=-1, max=1), [-0.4, 0.4], maxlen=7).tag(sync=True)
    sigmas = traitlets.List(traitlets.Float(min=0.01, max=0.5), [0.05, 0.06, 0.06], minlen=1).tag(
        sync=True
    )
    pi_0 = traitlets.Float(0.8, min=0.001, max=0.999).tag(sync=True)
    weights = traitlets.List(traitlets.Float(min=-1, max=1), _ROW, minlen=1).tag(sync=True)
    palette = traitlets.Dict(plots.PALETTE).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        if len(self.sigmas) != len(self.means) + 1:
            raise traitlets.TraitError(
                f"sigmas has {len(self.sigmas)} values, must have {len(self.means) + 1}: the zero "
                "component's and one for each mean"
            )

    @traitlets.validate("means", "sigmas", "weights")
    def _finite(self, proposal: Any) -> list[float]:
        # No number is smaller than nan, so that a trait's bounds let it through.
        values: list[float] = proposal["value"]
        if not all(map(math.isfinite, values)):
            raise traitlets.TraitError(f"{proposal['trait'].name} must be finite, got {values}")
        return values

    def mixture(self) -> Mixture:
        """The mixture as it stands, to compute with."""
        others = len(self.means)
        shares = [self.pi_0, *[(1 - self.pi_0) / others] * others] if others else [1.0]
        sigmas = torch.tensor(self.sigmas, dtype=torch.float64)
        means = torch.tensor([0.0, *self.means], dtype=torch.float64)
        return Mixture(means, 1 / sigmas**2, torch.tensor(shares, dtype=torch.float64))

    def __repr__(self) -> str:
        return f"Prior(means={self.means}, sigmas={self.sigmas}, pi_0={self.pi_0:g})"

    def still(self) -> Figure:
        """The figure as it stands, without anything to move."""
        return plots.pull(self.mixture(), self.weights)
