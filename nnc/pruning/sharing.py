"""Step 3: from a trained network and its mixture to codes and a codebook.

Everything here is a pure function of its arguments, except ``freeze`` and ``unfreeze``, which
put a quantised network into a model for further training and take it out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nnc.hints import check
from nnc.priors.mixture import GaussianMixturePrior, Mixture
from nnc.pruning.quantised import Quantised, used_entries
from nnc.weights import make_plain, plain_name, plain_state, prunable_weights, unwrapped, wide

Rule = Literal["responsibility", "likelihood"]
_PIECE = 2**18  # weights scored at a time: 17 components in float64 take 36 MB


def merge(mixture: Mixture, threshold: float) -> Mixture:
    """Merge components that describe the same cluster, closest pair first.

    The distance of two normals is the symmetrised divergence
    ``KL(p‖q) + KL(q‖p) = ((v_p + d²) / v_q + (v_q + d²) / v_p) / 2 - 1`` with variances v and
    distance d of the means. A merged component has the mean and the variance of the two together;
    the zero component keeps its mean of 0, its variance then being the second moment about 0.
    Source: Ullrich et al. (2017), section 4.1, appendix.

    Args:
        mixture: J + 1 components, the zero component first.
        threshold: in nats; pairs below it are merged, 0 merges nothing, less is a ValueError.

    Returns:
        The merged mixture: the zero component, then the others by ascending mean.
    """
    check("threshold", threshold, threshold >= 0, "at least 0")
    means, variances = mixture.means.clone(), 1 / mixture.precisions
    shares = mixture.proportions.clone()
    while len(means) > 1:
        distance = _symmetrised_kl(means, variances)
        if not distance.min() < threshold:
            break
        i, j = sorted(divmod(int(distance.argmin()), len(means)))
        pair = torch.tensor([i, j])
        means[i], variances[i] = _moments(means[pair], variances[pair], shares[pair], i == 0)
        shares[i] += shares[j]
        keep = torch.arange(len(means)) != j
        means, variances, shares = means[keep], variances[keep], shares[keep]
    order = torch.cat([torch.zeros(1, dtype=torch.long), 1 + means[1:].argsort()])
    return Mixture(means[order], 1 / variances[order], shares[order])


def _symmetrised_kl(means: Tensor, variances: Tensor) -> Tensor:
    """All pairs' distances, infinite on the diagonal."""
    squared = (means[:, None] - means[None, :]) ** 2
    one_way = (variances[:, None] + squared) / variances[None, :]
    return ((one_way + one_way.T) / 2 - 1).fill_diagonal_(torch.inf)


def _moments(
    means: Tensor, variances: Tensor, shares: Tensor, with_zero: bool
) -> tuple[Tensor, Tensor]:
    total = shares.sum()
    # Two components that own nothing still have a midpoint.
    share = shares / total if total > 0 else torch.full_like(shares, 0.5)
    mean = torch.zeros_like(means[0]) if with_zero else (share * means).sum()
    return mean, (share * (variances + (means - mean) ** 2)).sum()


def assign(weights: Tensor, mixture: Mixture, by: Rule = "responsibility") -> Tensor:
    """The component that owns each weight: int64 codes of the same shape.

    ``argmax_j log pi_j + log N(w | mu_j, 1 / lambda_j)`` by responsibility (maximum a posteriori),
    without ``log pi_j`` by likelihood. Source: Ullrich et al. (2017), section 4.1.

    Args:
        weights: any shape, already divided by the layer's scale where there is one; finite, else
            a ValueError.
        mixture: J + 1 components, the zero component first: code 0.
        by: which of the two rules.
    """
    check("by", by, by in get_args(Rule), "'responsibility' or 'likelihood'")
    if not bool(torch.isfinite(weights).all()):
        raise ValueError("weights has values that are NaN or infinite; train them again")
    flat = weights.detach().cpu().flatten()
    pieces = [_scores(piece, mixture, by).argmax(dim=-1) for piece in flat.split(_PIECE)]
    codes = torch.cat(pieces) if pieces else torch.empty(0, dtype=torch.long)
    return codes.reshape(weights.shape)


def _scores(x: Tensor, mixture: Mixture, by: Rule) -> Tensor:
    """Log joint or log likelihood of every component, up to a constant, N × (J + 1)."""
    precisions = mixture.precisions
    scores = 0.5 * (precisions.log() - precisions * (x.double()[:, None] - mixture.means) ** 2)
    return scores + mixture.proportions.log() if by == "responsibility" else scores


def quantise(
    model: nn.Module,
    prior: GaussianMixturePrior,
    *,
    threshold: float = 0.0,
    by: Rule = "responsibility",
    units: Mapping[str, float] | None = None,
) -> Quantised:
    """Prune what the zero component owns and set every other weight to its component's mean.

    Args:
        model: a network trained under the prior; left unchanged.
        prior: its mixture and, where learnt, its scales (one per prunable tensor, in order).
        threshold: components closer than this (symmetrised KL, nats) are merged first.
        by: the rule that assigns weights to components.
        units: of weights as the prior has seen them, by name, where it was not given them as
            they are.

    Returns:
        Codes per prunable tensor with codebooks ``s_l * mu_j`` that hold only the entries in use,
        and the rest of the model's ``state_dict``. A layer that is all zero has a codebook of
        one entry.

    Raises:
        ValueError: nothing to prune, or a tensor with NaN or infinite weights (named).
    """
    weights = prunable_weights(model)
    mixture = merge(prior.mixture(), threshold)
    learnt = prior.scales() or (1.0,) * len(weights)
    codes, codebooks = {}, {}
    for (name, weight), scale in zip(weights.items(), learnt, strict=True):
        scale *= units[name] if units else 1.0
        try:
            owners = assign(wide(weight.detach()) / scale, mixture, by)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        book = (scale * mixture.means).to(weight.dtype)
        codes[name], codebooks[name] = used_entries(owners, book)
    return Quantised.beside(plain_state(model), codes, codebooks)


class _Codebook(nn.Module):
    """Parametrisation of a weight by its codebook; the stored parameter leaves entry 0 out."""

    codes: Tensor

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.register_buffer("codes", codes.long())

    def forward(self, entries: Tensor) -> Tensor:
        # Wide, because an entry's gradient is the sum over many weights.
        table = wide(nn.functional.pad(entries, (1, 0)))
        return table[self.codes].to(entries.dtype)


def freeze(model: nn.Module, quantised: Quantised) -> nn.Module:
    """Fix which weights share a value, and leave the values (and the rest) to be trained.

    Each coded weight becomes ``codebook[codes]`` with the non-zero entries as parameters. An
    entry receives the summed gradient of the weights that share it; zeros stay zero.
    Source: Han, Mao and Dally, "Deep Compression" (2015), section 3.

    Args:
        model: of the architecture that was quantised, else this is a ValueError; changed in
            place: its ``parameters()`` are then the codebooks and the rest. Build the optimiser
            after this call.
        quantised: what to put into it; a ValueError where every weight is zero.
    """
    if all(len(codebook) == 1 for codebook in quantised.codebooks.values()):
        raise ValueError("quantised has only zeros to train; weaken the prior (tau, pi_0)")
    quantised.load_into(model)
    tied = {name: owner for name, owner in quantised.ties.items() if owner in quantised.codes}
    entries: dict[str, nn.Parameter] = {}
    for name in (*quantised.codes, *tied):
        path, _, attribute = name.rpartition(".")
        module = unwrapped(unwrapped(model).get_submodule(path))
        if parametrize.is_parametrized(module, attribute):
            continue  # a module in two places
        owner, weight = tied.get(name, name), getattr(module, attribute)
        if owner == name:
            # A copy: training must not reach into the value that was passed in.
            book = quantised.codebooks[name][1:].to(weight.device, weight.dtype, copy=True)
            entries[name] = nn.Parameter(book)
        setattr(module, attribute, entries[owner])
        codebook = _Codebook(quantised.codes[owner].to(weight.device))
        # unsafe: the parameter (K - 1 entries) has another shape than the weight it stands for.
        parametrize.register_parametrization(module, attribute, codebook, unsafe=True)
    return model


def unfreeze(model: nn.Module) -> Quantised:
    """Take codes, trained codebooks and the rest out of a frozen model; plain weights stay in it.

    Args:
        model: as ``freeze`` made it, else this is a ValueError; changed in place.
    """
    codes, codebooks = {}, {}
    for path, module in unwrapped(model).named_modules():
        lists: Any = module.parametrizations if parametrize.is_parametrized(module) else {}
        for attribute, steps in lists.items():
            if isinstance(steps[0], _Codebook):
                name = plain_name(path, attribute)
                entries = steps.original.detach().cpu()
                codes[name] = steps[0].codes.int().cpu()
                codebooks[name] = torch.cat([entries.new_zeros(1), entries])
    if not codes:
        raise ValueError("model is not frozen; call freeze(model, quantised) first")
    return Quantised.beside(plain_state(make_plain(model)), codes, codebooks)
