"""The interactive figure *On paper*: a network, read from the picture of its code, answers."""

from __future__ import annotations

import base64
import io
from typing import Any

import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from nnc import storage
from nnc.storage.qr import qr_code
from nnc_book import plots
from nnc_book.widgets.digit import DIGIT_CSS, Drawn
from nnc_book.widgets.still import script

_CSS = """
.nnc-paper .code{display:block;width:100%;max-width:720px;image-rendering:pixelated}
.nnc-paper .bar label{display:block;max-width:100%}
.nnc-paper .bar input{display:block;width:100%;min-height:44px;font:inherit}
"""


class Paper(Drawn):
    """A QR code that holds a network, a reader of pictures of it, and a field to draw a digit in.

    The code is found and read in the page, from its picture, a photograph or the camera, and what
    was in it answers the drawing.

    Args:
        data: the bytes of a ``.sws`` file of a LeNet-5 or LeNet-300-100, at most 2,953.
        digits: uint8, N × 28 × 28, to choose from; at least one.
        labels: N classes, 0 to 9.
        image: what the network sees, 784 pixels from 0 to 255; the first of the digits at first.

    Raises:
        traitlets.TraitError: the parts do not go together, or a value is out of range.
        nnc.storage.StorageError: the file is damaged.
        ValueError: it is too large for a code.
    """

    _esm = script("sws.js", "answer.js", "qr.js", "paper.js")
    _css = plots.FIGURE_CSS + DIGIT_CSS + _CSS

    code = traitlets.Unicode().tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    files = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, data: bytes, digits: Tensor, labels: list[int], **traits: Any) -> None:
        storage.loads(data)
        self._data, picture = data, io.BytesIO()
        qr_code(data).save(picture, kind="png", scale=4)
        code = base64.b64encode(picture.getvalue()).decode()
        super().__init__(digits, labels, code=code, **traits)

    def __repr__(self) -> str:
        return f"Paper({len(self._data)} bytes; {len(self.digits)} digits)"

    def still(self) -> Figure:
        """The code alone, which can be read from a print."""
        return plots.modules(qr_code(self._data).matrix)
