"""The interactive figure *Share*: a small network learns under a mixture prior in the page."""

from __future__ import annotations

from typing import Any

import traitlets
from matplotlib.figure import Figure

from nnc_book import plots
from nnc_book.widgets.learn import LEARN_CSS, spiral
from nnc_book.widgets.still import WithStill, script

# Found by trying: the wide start is what makes too strong a pull press all weights into one heap.
_SETTINGS: dict[str, Any] = {
    "sizes": [2, 16, 16, 3],
    "count": 150,  # points that it learns from
    "noise": 0.09,
    "first": 300,  # steps of step 1, and of step 2
    "second": 800,
    "rate": 0.01,
    "grow": 0.5,  # share of step 2 over which the pull grows
    "means": [-1.2, -0.72, -0.24, 0.24, 0.72, 1.2],
    "sigma": 0.35,
    "pi_0": 0.8,
    "zero": [50.0, 0.125],  # Gamma: a width of about 0.05
    "others": [20.0, 0.05],
}
_ROLES = ("teacher", "student", "l2")  # of the three classes
_CSS = """
.nnc-share .pair{display:flex;flex-wrap:wrap;gap:0 16px;align-items:flex-start;margin:8px 0 0}
.nnc-share.nnc-figure .pair svg{margin:0}
.nnc-share .side{margin:0 auto}
.nnc-share .side p{max-width:236px;margin:6px 0 0;font-size:14px}
.nnc-share .zero{--tone:var(--zero)}
.nnc-share .components{--tone:var(--components)}
.nnc-share .free{--tone:var(--weights)}
.nnc-share .band{fill:var(--tone);opacity:.2}
.nnc-share circle{fill:var(--tone);fill-opacity:.75}
.nnc-share .fixed circle.zero{fill-opacity:.25}
@media (prefers-reduced-motion:no-preference){.nnc-share .fixed circle{transition:cy .7s}}
.nnc-share .kind0{--tone:var(--teacher)}
.nnc-share .kind1{--tone:var(--student)}
.nnc-share .kind2{--tone:var(--l2)}
.nnc-share .tiles{display:grid;grid-template-columns:repeat(4,1fr);gap:8px;margin:12px 0 4px}
.nnc-share .tiles div{padding:6px 10px;border-left:3px solid var(--grid)}
.nnc-share .tiles :is(strong,span){display:block;font-variant-numeric:tabular-nums}
.nnc-share .tiles strong{font-size:22px;line-height:1.2}
.nnc-share .tiles span{font-size:13px;line-height:1.3}
@media (width<600px){.nnc-share .tiles{grid-template-columns:1fr 1fr}}
"""


class Share(WithStill):
    """A network of 336 weights that learns in the page: trained, clustered, then assigned.

    Step 1 minimises the cross-entropy of 150 points of three classes. Step 2 adds ``tau / n``
    times the penalty of a Gaussian mixture, whose means, precisions and proportions are learnt
    beside the weights. Assigning sets every weight to the mean of the component that owns it.
    The bits are the entropy of the codes times the number of weights, and 32 for each value of
    the codebook; biases are not counted.

    Args:
        tau: strength of the prior, from 1e-5 to 100.
        seed: of the points and of the weights at the start; each further training takes the next.

    Raises:
        traitlets.TraitError: a value is out of range.
    """

    _esm = script("learn.js", "share.js")
    _css = plots.FIGURE_CSS + LEARN_CSS + _CSS

    settings = traitlets.Dict(_SETTINGS).tag(sync=True)
    tau = traitlets.Float(1.0, min=1e-5, max=100).tag(sync=True)
    seed = traitlets.Int(3, min=0).tag(sync=True)

    def __repr__(self) -> str:
        return f"Share(tau={self.tau:g})"

    def still(self) -> Figure:
        """The points that the network learns from."""
        points = spiral(self.settings["count"], self.settings["noise"], self.seed)
        return plots.places({"what the network learns from": points}, _ROLES)
