"""The interactive figure *Temperature*: a teacher's soft targets, from one-hot to uniform."""

from __future__ import annotations

import math
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure

from nnc_book import plots
from nnc_book.widgets.still import WithStill, script

_CSS = """
.nnc-temperature input:checked+img{border-color:var(--teacher)}
.nnc-temperature input:checked+span{text-decoration:underline;font-weight:600}
.nnc-temperature .chart{margin:8px 0}
.nnc-temperature .row{display:grid;grid-template-columns:8.6em 1fr 5.2em;gap:8px;height:24px;
 align-items:center;line-height:1}
.nnc-temperature .name{text-align:right;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.nnc-temperature .label{font-weight:700}
.nnc-temperature .track{height:16px}
.nnc-temperature .length{display:block;height:100%;background:var(--teacher);min-width:1px}
.nnc-temperature .ends{grid-column:2;font-size:13px;display:flex;justify-content:space-between}
.nnc-temperature .status{min-height:4.4em}
@media (width<600px){.nnc-temperature .status{min-height:7.4em}}
"""


class Temperature(WithStill):
    """A teacher's soft targets for a few images, with the temperature in the reader's hand.

    All of it is computed in the page; where a kernel runs, ``temperature`` and ``chosen`` follow.

    Args:
        classes: names of the C classes, at least 2.
        logits: a row of C finite numbers for each image, at least one row.
        labels: the class of each image, a position in ``classes``.
        thumbnails: each image as a PNG or JPEG in base64, or none at all.
        temperature: T, from 0.5 to 100.
        chosen: which image is shown, a position in ``logits``.

    Raises:
        traitlets.TraitError: the lists do not go together, or a number is out of range.
    """

    _esm = script("temperature.js")
    _css = plots.FIGURE_CSS + _CSS

    classes = traitlets.List(traitlets.Unicode(), minlen=2).tag(sync=True)
    logits = traitlets.List(traitlets.List(traitlets.Float()), minlen=1).tag(sync=True)
    labels = traitlets.List(traitlets.Int(min=0)).tag(sync=True)
    thumbnails = traitlets.List(traitlets.Unicode(), []).tag(sync=True)
    temperature = traitlets.Float(1.0, min=0.5, max=100).tag(sync=True)
    chosen = traitlets.Int(0, min=0).tag(sync=True)

    def __init__(
        self, classes: list[str], logits: list[list[float]], labels: list[int], **traits: Any
    ) -> None:
        super().__init__(classes=classes, logits=logits, labels=labels, **traits)
        count = len(self.logits)
        for name, values in (("labels", self.labels), ("thumbnails", self.thumbnails)):
            if len(values) != count and (values or name == "labels"):
                raise traitlets.TraitError(
                    f"{name} has {len(values)} entries, must have {count}, one for each image"
                )
        if any(len(row) != len(self.classes) for row in self.logits):
            raise traitlets.TraitError(
                f"logits must have rows of {len(self.classes)} numbers, one for each class"
            )
        if max(self.labels) >= len(self.classes) or self.chosen >= count:
            raise traitlets.TraitError(
                f"labels reach {max(self.labels)} and chosen is {self.chosen}, must lie below the "
                f"{len(self.classes)} classes and the {count} images"
            )

    @traitlets.validate("logits")
    def _finite(self, proposal: Any) -> list[list[float]]:
        rows: list[list[float]] = proposal["value"]
        if not all(math.isfinite(value) for row in rows for value in row):
            raise traitlets.TraitError("logits must be finite")
        return rows

    def __repr__(self) -> str:
        return (
            f"Temperature({len(self.logits)} images, temperature={self.temperature:g}, "
            f"chosen={self.chosen})"
        )

    def still(self) -> Figure:
        """The figure as it stands, without anything to move."""
        row = torch.tensor(self.logits[self.chosen], dtype=torch.float64)
        return plots.soft_targets(row, self.classes, self.labels[self.chosen])
