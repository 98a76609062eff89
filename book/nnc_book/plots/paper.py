"""A QR code as a figure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

_PIXELS = 4  # of a module, so that its edges are sharp
_MARGIN = 4  # modules, which the standard asks for


def modules(rows: Sequence[Sequence[int]]) -> Figure:
    """A code with its light margin, dark on light in any theme.

    Args:
        rows: of modules, 1 where dark.
    """
    light = 1 - np.pad(np.array(rows), _MARGIN).repeat(_PIXELS, 0).repeat(_PIXELS, 1)
    figure = Figure(figsize=(len(light) / 100, len(light) / 100), dpi=100)
    figure.figimage(light, cmap="gray")
    return figure
