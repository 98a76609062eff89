"""A few weights as the edges between units, through the three steps of soft weight-sharing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from torch import Tensor

from nnc_book.plots.page import Badge, caption
from nnc_book.plots.style import FIGURE_CSS

_WIDEST = 6  # px, of the edge of the largest weight
_SIZE = (680, 300)  # px, of the picture
_CSS = """
.nnc-edges label:has(input[type=radio]){padding:0 12px;border:1px solid var(--baseline);
 border-radius:6px}
.nnc-edges label:has(:checked){background:var(--grid);box-shadow:inset 0 0 0 2px var(--weights)}
.nnc-edges fieldset{gap:8px}
.nnc-edges path{fill:none;stroke:var(--weights);stroke-width:calc(1px*var(--a));opacity:.75}
.nnc-edges circle{fill:var(--weights)}
.nnc-edges:has([value="2"]:checked) path{stroke:var(--tone);stroke-width:calc(1px*var(--b))}
.nnc-edges:has([value="3"]:checked) path{stroke:var(--tone);stroke-width:calc(1px*var(--c))}
.nnc-edges:has([value="2"]:checked) path.zero{stroke-width:max(.8px,1px*var(--b))}
.nnc-edges:has([value="3"]:checked) path.zero{opacity:0}
.nnc-edges .zero{--tone:var(--zero)}
.nnc-edges .components{--tone:var(--components)}
.nnc-edges ul{margin:0;padding:0;list-style:none}
.nnc-edges li{display:inline-block;margin-right:18px}
.nnc-edges li::before{content:"";display:inline-block;width:1.6em;margin-right:6px;
 border-top:3px solid var(--tone);vertical-align:.25em}
@media (prefers-reduced-motion:no-preference){.nnc-edges path{
 transition:stroke-width .8s,opacity .8s,stroke .4s}}
"""


@dataclass(frozen=True, eq=False)
class Edges:
    """Weights between two rows of units: after step 1, after step 2 and after step 3.

    An edge is as wide as its weight is large. From step 2 on its colour tells whether the zero
    component owns it; at step 3 those edges go. Which step is shown is chosen by radio buttons,
    and the style sheet does the rest: no script runs.

    Args:
        trained: weights after step 1, outputs × inputs.
        clustered: the same weights after step 2.
        quantised: the same after step 3; exactly 0 where the zero component owns a weight.
        caption: which weights, of which network, on which data.
        badge: live, recorded or drawn.
    """

    trained: Tensor
    clustered: Tensor
    quantised: Tensor
    caption: str
    badge: Badge

    def _repr_html_(self) -> str:
        count, left = self.quantised.numel(), int((self.quantised != 0).sum())
        values = len(self.quantised[self.quantised != 0].unique())
        labels = (
            f"Step 1: {len(self.trained.unique())} values for {count} weights",
            f"Step 2: {count - left} drawn to zero",
            f"Step 3: {left} left, {values} values",
        )
        edges = "".join(self._edges())
        name = f"nnc-{sha256(edges.encode()).hexdigest()[:10]}"
        choices = "".join(
            f'<label><input type="radio" name="{name}" value="{number}"'
            f"{' checked' if number == 1 else ''}><span>{label}</span></label>"
            for number, label in enumerate(labels, 1)
        )
        outputs, inputs = self.quantised.shape
        units = "".join(
            f'<circle cx="{_across(k, row):.1f}" cy="{y}" r="5"/>'
            for row, y in ((inputs, 16), (outputs, _SIZE[1] - 16))
            for k in range(row)
        )
        words = f"{inputs} units above, {outputs} below, an edge for each weight. " + "; ".join(
            labels
        )
        return (
            f'<figure class="nnc-shown"><style>{FIGURE_CSS}{_CSS}</style>'
            '<div class="nnc-figure nnc-edges" role="group" aria-label="Weights in three steps">'
            f"<fieldset><legend>Show</legend>{choices}</fieldset>"
            f'<svg viewBox="0 0 {_SIZE[0]} {_SIZE[1]}" role="img" aria-label="{words}">'
            f'{edges}{units}</svg><ul><li class="zero">owned by the zero component</li>'
            '<li class="components">by another</li></ul></div>'
            f"{caption(self.caption, self.badge)}</figure>"
        )

    def _edges(self) -> Iterator[str]:
        """A path for each weight, with its width at each step, the small ones first."""
        steps = (self.trained, self.clustered, self.quantised)
        largest = max(float(step.abs().max()) for step in steps) or 1.0
        outputs, inputs = self.quantised.shape
        order = self.quantised.abs().flatten().argsort(stable=True).tolist()
        for place in order:
            row, column = divmod(place, inputs)
            widths = (_WIDEST * float(step[row, column].abs()) / largest for step in steps)
            style = ";".join(f"--{key}:{w:.2f}" for key, w in zip("abc", widths, strict=True))
            kind = "components" if self.quantised[row, column] else "zero"
            x, end = _across(column, inputs), _across(row, outputs)
            path = f"M{x:.1f} 16L{end:.1f} {_SIZE[1] - 16}"
            yield f'<path class="{kind}" d="{path}" style="{style}"/>'


def _across(place: int, count: int) -> float:
    """Where a unit of a row stands, in px."""
    return _SIZE[0] * (place + 0.5) / count
