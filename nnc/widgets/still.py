"""What every interactive figure also has: a still picture, for where no JavaScript runs."""

from __future__ import annotations

from typing import Any

import anywidget
from matplotlib.figure import Figure

from nnc import plots


class WithStill(anywidget.AnyWidget):
    """An interactive figure that shows a picture in print, on GitHub and in mail."""

    def still(self) -> Figure:
        """The figure as it stands, without anything to move."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return data | {"image/png": plots.png(self.still())}, metadata
