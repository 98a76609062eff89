"""The interactive figure *Distil*: a teacher and two students that learn in the page."""

from __future__ import annotations

from typing import Any

import traitlets
from matplotlib.figure import Figure

from nnc_book import plots
from nnc_book.widgets.learn import LEARN_CSS, spiral
from nnc_book.widgets.still import WithStill, script

_SETTINGS: dict[str, Any] = {
    "counts": [12, 48, 192],  # labelled points that can be chosen
    "many": 300,  # points of the teacher
    "noise": 0.15,
    "teacher": [2, 24, 24, 3],
    "student": [2, 16, 3],
    "steps": 400,
    "rate": 0.03,
}
_ROLES = ("zero", "components", "l2")  # of the three classes
_CSS = """
.nnc-distil.nnc-figure fieldset{align-items:center;margin-top:0}
.nnc-distil.nnc-figure label:has(input[type=radio]){display:grid;place-items:center;min-width:64px;
 border:1px solid var(--baseline);border-radius:6px}
.nnc-distil.nnc-figure label span{min-width:5.2em}
.nnc-distil.nnc-figure label:has(input[type=radio]) span{min-width:0}
.nnc-distil label:has(input:checked){background:var(--grid);font-weight:600}
.nnc-distil .panels{display:grid;grid-template-columns:repeat(3,1fr);gap:12px;margin:10px 0 0;
 align-items:end}
.nnc-distil .panels p{margin:0;text-align:center;line-height:1.3}
.nnc-distil.nnc-figure .panels svg{width:100%;margin:4px 0}
.nnc-distil .title{font-weight:600}
.nnc-distil .kind0{--tone:var(--zero)}
.nnc-distil .kind1{--tone:var(--components)}
.nnc-distil .kind2{--tone:var(--l2)}
@media (width<600px){.nnc-distil .panels{grid-template-columns:1fr 1fr}
 .nnc-distil .panels>:first-child{grid-column:1/3;width:calc(50% - 6px);margin:auto}}
"""


class Distil(WithStill):
    """A teacher, and two students with the same few points: one learns labels only, one is taught.

    All three are trained in the page: the teacher on 300 points of three classes, both students,
    which start alike, on a few of them. What is counted is the share of 600 other points.

    Args:
        count: labelled points that the students see, 12, 48 or 192.
        temperature: T, from 1 to 20.
        alpha: weight of the teacher, from 0 to 1.
        seed: of the teacher and of the first students; each further training draws other points.

    Raises:
        traitlets.TraitError: a value is out of range.
    """

    _esm = script("learn.js", "distil.js")
    _css = plots.FIGURE_CSS + LEARN_CSS + _CSS

    settings = traitlets.Dict(_SETTINGS).tag(sync=True)
    count = traitlets.Enum(_SETTINGS["counts"], 12).tag(sync=True)
    temperature = traitlets.Float(4.0, min=1, max=20).tag(sync=True)
    alpha = traitlets.Float(0.9, min=0, max=1).tag(sync=True)
    seed = traitlets.Int(0, min=0).tag(sync=True)

    def __repr__(self) -> str:
        return f"Distil(count={self.count}, temperature={self.temperature:g}, alpha={self.alpha:g})"

    def still(self) -> Figure:
        """The points that the teacher learns from, and as many as a student sees."""
        places, labels = spiral(self.settings["many"], self.settings["noise"], self.seed)
        few = (places[: self.count], labels[: self.count])
        groups = {"the teacher's points": (places, labels), "as many as a student's": few}
        return plots.places(groups, _ROLES)
