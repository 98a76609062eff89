"""What every interactive figure has: its module, and a picture for where no JavaScript runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anywidget
from matplotlib.figure import Figure

from nnc_book import plots


def script(*names: str) -> str:
    """The text of a figure's module: what it draws with, and the named files beside this one."""
    files = (Path(__file__).with_name(name) for name in ("dom.js", *names))
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


class WithStill(anywidget.AnyWidget):
    """An interactive figure that shows a picture in print, on GitHub and in mail."""

    def still(self) -> Figure:
        """The figure as it stands, without anything to move."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        return data | {"image/png": plots.png(self.still())}, metadata
