"""The interactive figure *Storing*: a small matrix as bits, and what each of them says."""

from __future__ import annotations

from typing import Any

import numpy as np
import traitlets
from matplotlib.figure import Figure

from nnc_book import plots
from nnc_book.coders import CODERS
from nnc_book.widgets.still import WithStill, script

_CODERS = {
    "raw": CODERS["raw"],
    "compressed sparse rows": CODERS["csr"],
    "relative index": CODERS["relative"],
    "Huffman": CODERS["huffman"],
}
_MATRIX = [
    [0, 1, 0, 0, 2, 0, 0, 1],
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 1, 0, 0, 0, 0, -1, 0],
    [0, 0, 0, 0, 2, 0, 0, 0],
]
_MOST = 120  # weights: fewer than a number of one byte and of one varint group can count
_CSS = """
.nnc-storing .matrix{display:grid;gap:2px;width:max-content;margin:10px 0}
.nnc-storing .scroll{overflow-x:auto;background:
 linear-gradient(90deg,var(--ground),transparent) 0 0/40px 100% no-repeat local,
 linear-gradient(270deg,var(--ground),transparent) 100% 0/40px 100% no-repeat local,
 linear-gradient(90deg,#0005,transparent) 0 0/12px 100% no-repeat scroll,
 linear-gradient(270deg,#0005,transparent) 100% 0/12px 100% no-repeat scroll}
.nnc-storing .matrix button{padding:0;width:44px;font-variant-numeric:tabular-nums}
.nnc-storing .matrix .lit{border:2px solid var(--components);font-weight:700}
.nnc-storing .spoken{outline:3px solid var(--zero);outline-offset:-3px}
.nnc-storing .run{margin:10px 0 2px;font-size:1em;font-weight:600}
.nnc-storing .bits{display:flex;flex-wrap:wrap;gap:2px}
.nnc-storing .bits button{padding:0 6px;font-family:monospace;font-size:14px}
.nnc-storing .bits .padding{opacity:.7;border-style:dashed}
"""


class Storing(WithStill):
    """A small matrix of levels, its bits under four coders, and their meaning.

    The entries are changed by hand; every bit is computed in the page.

    Args:
        matrix: rows of whole numbers from -7 to 7, equally long, at most 120 in all.
        coder: ``"raw"``, ``"compressed sparse rows"``, ``"relative index"`` or ``"Huffman"``.
        chosen: which field of the bits is explained, counted from 0.

    Raises:
        traitlets.TraitError: rows of different lengths, too many entries, or an unknown coder.
    """

    _esm = script("storing.js")
    _css = plots.FIGURE_CSS + _CSS

    matrix = traitlets.List(
        traitlets.List(traitlets.Int(min=-7, max=7), minlen=1), _MATRIX, minlen=1
    ).tag(sync=True)
    coder = traitlets.Enum(tuple(_CODERS), "relative index").tag(sync=True)
    chosen = traitlets.Int(0, min=0).tag(sync=True)

    @traitlets.validate("matrix")
    def _rectangular(self, proposal: Any) -> list[list[int]]:
        rows: list[list[int]] = proposal["value"]
        if len({len(row) for row in rows}) > 1 or len(rows) * len(rows[0]) > _MOST:
            raise traitlets.TraitError(
                f"matrix must have rows of one length and at most {_MOST} entries, "
                f"got lengths {[len(row) for row in rows]}"
            )
        return rows

    def encoded(self) -> dict[str, bytes]:
        """The matrix under each coder, as the package writes it."""
        levels = np.array(self.matrix, dtype=np.int32)
        bounds = (min(0, int(levels.min())), max(0, int(levels.max())))
        return {name: coder.encode(levels, bounds) for name, coder in _CODERS.items()}

    def __repr__(self) -> str:
        return f"Storing({len(self.matrix)} × {len(self.matrix[0])}, coder={self.coder!r})"

    def still(self) -> Figure:
        """The bytes of each coder, without anything to change."""
        sizes = {name: len(data) for name, data in self.encoded().items()}
        return plots.bars(sizes, "bytes", self.coder, ("raw", sizes["raw"]))
