"""The interactive figure *Draw a digit*: small networks, decoded in the page, answer a drawing."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import Module

from nnc import storage
from nnc.data import as_input
from nnc.models import LeNet5Caffe, LeNet300100
from nnc.pruning import Quantised
from nnc_book import plots
from nnc_book.widgets.still import WithStill, script

_SIDE = 28  # pixels
_PIXELS = _SIDE * _SIDE
DIGIT_CSS = """
.nnc-digit .desk{display:flex;flex-wrap:wrap;gap:12px 24px;align-items:flex-start}
.nnc-digit .pad{width:280px;max-width:100%;aspect-ratio:1;border:2px solid var(--baseline);
 border-radius:6px;touch-action:none;cursor:crosshair;color:var(--weights);
 background:var(--ground)}
.nnc-digit .seen{width:140px;height:140px;image-rendering:pixelated;background:#000;
 border-radius:4px}
.nnc-digit .seen+p{max-width:140px;margin:4px 0 0;font-size:14px}
.nnc-digit input:checked+canvas{border-color:var(--student)}
.nnc-digit .row{display:grid;grid-template-columns:1.2em 1fr 7.4em;gap:8px;height:26px;
 align-items:center;line-height:1}
.nnc-digit .first{font-weight:700}
.nnc-digit .length{display:block;width:0;height:8px;margin:1px 0;min-width:1px;
 background:var(--tone)}
.nnc-digit .n0{--tone:var(--student)}
.nnc-digit .n1{--tone:var(--teacher)}
.nnc-digit ul{margin:8px 0;padding:0;list-style:none}
.nnc-digit li:not(.plain)::before{content:"";display:inline-block;width:1em;height:1em;
 margin-right:6px;border-radius:3px;vertical-align:-.12em;background:var(--tone)}
"""


class Drawn(WithStill):
    """A field in which a digit is drawn, and digits to choose from.

    Args:
        digits: uint8, N × 28 × 28, to choose from; at least one.
        labels: N classes, 0 to 9.
        image: what networks see, 784 pixels from 0 to 255; the first of the digits at first.

    Raises:
        traitlets.TraitError: the parts do not go together, or a value is out of range.
    """

    digits = traitlets.List(traitlets.Unicode(), minlen=1).tag(sync=True)
    labels = traitlets.List(traitlets.Int(min=0, max=9)).tag(sync=True)
    image = traitlets.List(traitlets.Int(min=0, max=255), minlen=_PIXELS, maxlen=_PIXELS).tag(
        sync=True
    )

    def __init__(self, digits: Tensor, labels: list[int], **traits: Any) -> None:
        if digits.dtype != torch.uint8 or digits.shape[1:] != (_SIDE, _SIDE):
            raise traitlets.TraitError(
                f"digits is {digits.dtype} of shape {tuple(digits.shape)}, must be torch.uint8 of "
                "shape (N, 28, 28)"
            )
        if len(labels) != len(digits):
            raise traitlets.TraitError(
                f"labels has {len(labels)} entries, must have {len(digits)}, one for each digit"
            )
        traits.setdefault("image", digits[0].flatten().tolist())
        pixels = [base64.b64encode(bytes(one.flatten().tolist())).decode() for one in digits]
        super().__init__(digits=pixels, labels=labels, **traits)


def _network(stored: Quantised) -> Module:
    """A stored LeNet of either kind; one has convolutions."""
    kind = LeNet5Caffe if any(one.dim() == 4 for one in stored.codes.values()) else LeNet300100
    return stored.load_into(kind())


class Digit(Drawn):
    """Networks of one kind of LeNet, decoded in the page from their files, answer a drawn digit.

    The drawing is cut out, scaled to 20 pixels and placed by its centre of mass in 28 × 28 pixels,
    as the digits of MNIST were. All of it is computed in the page; where a kernel runs, ``image``
    follows.

    Args:
        files: name → the bytes of a ``.sws`` file of a LeNet-300-100 or LeNet-5; one or two, alike.
        digits: uint8, N × 28 × 28, to choose from; at least one.
        labels: N classes, 0 to 9.
        image: what the networks see, 784 pixels from 0 to 255; the first of the digits at first.

    Raises:
        traitlets.TraitError: the parts do not go together, or a value is out of range.
        nnc.storage.StorageError: a file is damaged.
    """

    _esm = script("sws.js", "answer.js", "digit.js")
    _css = plots.FIGURE_CSS + DIGIT_CSS

    names = traitlets.List(traitlets.Unicode(), minlen=1, maxlen=2).tag(sync=True)
    files = traitlets.List(traitlets.Unicode(), minlen=1, maxlen=2).tag(sync=True)

    def __init__(
        self, files: Mapping[str, bytes], digits: Tensor, labels: list[int], **traits: Any
    ) -> None:
        self._networks = [_network(storage.loads(data)) for data in files.values()]
        encoded = [base64.b64encode(data).decode() for data in files.values()]
        super().__init__(digits, labels, names=list(files), files=encoded, **traits)

    def logits(self) -> Tensor:
        """What each network says of the image: networks × 10."""
        pixels = torch.tensor(self.image, dtype=torch.uint8).view(1, 1, _SIDE, _SIDE)
        with torch.no_grad():
            return torch.cat([network.eval()(as_input(pixels)) for network in self._networks])

    def __repr__(self) -> str:
        return f"Digit({', '.join(self.names)}; {len(self.digits)} digits)"

    def still(self) -> Figure:
        """The figure as it stands, without anything to move."""
        pixels = torch.tensor(self.image).view(_SIDE, _SIDE)
        return plots.answers(pixels, dict(zip(self.names, self.logits(), strict=True)))
