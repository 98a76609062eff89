"""The figure of a prior over weights: density, penalty, and the pull on a row of weights."""

from __future__ import annotations

import base64
import io
import pathlib
from typing import Any

import anywidget
import torch
import traitlets

from nnc import plots
from nnc.priors import Mixture

_ROW = [round(-0.92 + 0.08 * i, 2) for i in range(24)]


class Prior(anywidget.AnyWidget):
    """A Gaussian mixture to be moved by hand, from one Gaussian (L2) to eight components.

    Means and widths are dragged on the density or moved with the arrow keys; the arrows on the row
    of weights are minus the derivative of the penalty. Everything is computed in the page.

    Args:
        means: of the components besides the zero component, within ±1.
        sigmas: widths, the zero component's first, one more than means; at least 0.01.
        pi_0: share of the zero component, in (0, 1); the others share the rest equally.
        weights: the row of weights that the prior pulls.

    Raises:
        traitlets.TraitError: a value is out of range, or there is not one width per component.
    """

    _esm = pathlib.Path(__file__).with_name("prior.js")
    means = traitlets.List(traitlets.Float(min=-1, max=1), [-0.4, 0.4]).tag(sync=True)
    sigmas = traitlets.List(traitlets.Float(min=0.01), [0.05, 0.06, 0.06]).tag(sync=True)
    pi_0 = traitlets.Float(0.8, min=0.001, max=0.999).tag(sync=True)
    weights = traitlets.List(traitlets.Float(), _ROW).tag(sync=True)
    palette = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(palette=plots.PALETTE, **traits)
        if len(self.sigmas) != len(self.means) + 1:
            raise traitlets.TraitError(
                f"sigmas has {len(self.sigmas)} values, must have {len(self.means) + 1}: the zero "
                "component's and one for each mean"
            )

    def mixture(self) -> Mixture:
        """The mixture that the figure starts with."""
        others = len(self.means)
        shares = [self.pi_0, *[(1 - self.pi_0) / others] * others] if others else [1.0]
        sigmas = torch.tensor(self.sigmas, dtype=torch.float64)
        means = torch.tensor([0.0, *self.means], dtype=torch.float64)
        return Mixture(means, 1 / sigmas**2, torch.tensor(shares, dtype=torch.float64))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The figure, and a still picture for where no JavaScript runs."""
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        buffer = io.BytesIO()
        plots.density(self.mixture()).savefig(buffer, format="png", metadata={"Software": None})
        return data | {"image/png": base64.b64encode(buffer.getvalue()).decode()}, metadata
