"""The interactive figure *Prune and quantise*: who takes each weight, and what it becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor, nn

from nnc import prunable_weights
from nnc.priors import GaussianMixturePrior, Mixture
from nnc.pruning import Quantised, Rule, assign, merge, quantise
from nnc_book import plots
from nnc_book.widgets.still import WithStill, script

_RULES: tuple[Rule, Rule] = ("responsibility", "likelihood")
_CSS = """
.nnc-quantise svg{touch-action:pan-y}
.nnc-quantise .zero{--tone:var(--zero)}
.nnc-quantise .components{--tone:var(--components)}
.nnc-quantise .part{fill:none;stroke:var(--tone);stroke-width:2}
.nnc-quantise rect{fill:var(--tone);opacity:.22}
.nnc-quantise .way{stroke:var(--tone);stroke-width:1.2;opacity:.55}
.nnc-quantise .way.zero{opacity:.16}
.nnc-quantise .tick{stroke:var(--tone);stroke-width:1.6}
.nnc-quantise .cursor{stroke:var(--weights);stroke-width:1.6;stroke-dasharray:4 3}
.nnc-quantise .title{font-weight:600}
"""


class Quantise(WithStill):
    """A mixture, the weights of a layer, and the rule by which components take them.

    The rule and the threshold of merging are chosen, and one weight is moved along the axis. All is
    computed in the page but what only the network can say, which is given for every setting.

    Args:
        mixture: the components before merging, the zero component first.
        weights: some weights, within ±1.
        settings: a dictionary for every pair of rule and threshold that can be chosen: ``by``,
            ``threshold`` (nats), and of the network so quantised ``accuracy``, ``sparsity`` and
            ``levels`` (the most in a layer, zero among them).
        by, threshold: the setting that is shown, the first one where not given.
        cursor: the one weight, within ±1.

    Raises:
        traitlets.TraitError: a value is out of range, or the setting is not among those given.
    """

    _esm = script("quantise.js")
    _css = plots.FIGURE_CSS + _CSS

    means = traitlets.List(traitlets.Float(), minlen=1).tag(sync=True)
    sigmas = traitlets.List(traitlets.Float(), minlen=1).tag(sync=True)
    shares = traitlets.List(traitlets.Float(), minlen=1).tag(sync=True)
    weights = traitlets.List(traitlets.Float(min=-1, max=1), minlen=1).tag(sync=True)
    settings = traitlets.List(traitlets.Dict(), minlen=1).tag(sync=True)
    by = traitlets.Enum(_RULES).tag(sync=True)
    threshold = traitlets.Float(min=0).tag(sync=True)
    cursor = traitlets.Float(0.1, min=-1, max=1).tag(sync=True)

    def __init__(
        self,
        mixture: Mixture,
        weights: Sequence[float],
        settings: Sequence[dict[str, Any]],
        **traits: Any,
    ) -> None:
        if not settings or not all(map(math.isfinite, weights)):
            raise traitlets.TraitError("settings must have an entry, and weights be finite")
        traits = {key: settings[0][key] for key in ("by", "threshold")} | traits
        super().__init__(
            means=mixture.means.tolist(),
            sigmas=mixture.sigmas.tolist(),
            shares=mixture.proportions.tolist(),
            weights=list(weights),
            settings=list(settings),
            **traits,
        )
        if all((one["by"], one["threshold"]) != (self.by, self.threshold) for one in settings):
            raise traitlets.TraitError(
                f"by and threshold are {self.by!r} and {self.threshold}, must be one of settings"
            )

    @classmethod
    def of(
        cls,
        model: nn.Module,
        prior: GaussianMixturePrior,
        score: Callable[[Quantised], float],
        *,
        layer: str,
        thresholds: Sequence[float],
        count: int = 500,
    ) -> Quantise:
        """The figure of a clustered network, quantised and scored at every setting.

        Args:
            model, prior: after step 2.
            score: the accuracy of a quantised network.
            layer: the tensor whose weights are drawn.
            thresholds: of merging, ascending, in nats.
            count: of weights drawn, evenly through the sorted weights of the layer.

        Raises:
            ValueError: there is no such layer.
        """
        tensors = prunable_weights(model)
        if layer not in tensors:
            raise ValueError(f"layer is {layer!r}, must be one of {', '.join(tensors)}")
        settings = []
        for by in _RULES:
            for threshold in thresholds:
                found = quantise(model, prior, threshold=threshold, by=by)
                settings.append(
                    {
                        "by": by,
                        "threshold": float(threshold),
                        "accuracy": score(found),
                        "sparsity": found.sparsity(),
                        "levels": max(map(len, found.codebooks.values())),
                    }
                )
        ordered = tensors[layer].detach().flatten().sort().values
        places = torch.linspace(0, len(ordered) - 1, count).round().long()
        return cls(prior.mixture(), ordered[places].clamp(-1, 1).tolist(), settings)

    def mixture(self) -> Mixture:
        """The mixture after merging at the threshold that is shown."""
        tensors = (
            torch.tensor(values, dtype=torch.float64)
            for values in (self.means, [1 / s**2 for s in self.sigmas], self.shares)
        )
        return merge(Mixture(*tensors), self.threshold)

    def owners(self) -> Tensor:
        """Which component of :meth:`mixture` takes each weight."""
        return assign(torch.tensor(self.weights, dtype=torch.float64), self.mixture(), self.by)

    def __repr__(self) -> str:
        return f"Quantise({len(self.settings)} settings, by={self.by!r})"

    def still(self) -> Figure:
        """The figure as it stands, without anything to move."""
        owners = self.owners()
        return plots.assignment(self.weights, self.mixture().means[owners].tolist())
