"""Which tensors of a network are its weights, whatever is wrapped around them.

Networks come inside ``DataParallel``, ``DistributedDataParallel`` and ``torch.compile``; their
weights may be computed from other tensors, by masks of ``torch.nn.utils.prune`` or by
parametrisations such as weight normalisation. Here they have the names and the values that the
plain network would have, and a weight that is used in several places occurs once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.weight_norm import WeightNorm

from nnc.hints import check

_COMPILED = "_orig_mod."  # what torch.compile puts before the names of what it wraps
_LEFT = {"_orig", "_mask", "_g", "_v"}  # endings of what masks and the older weight_norm keep


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside ``DataParallel``, ``DistributedDataParallel`` and ``torch.compile``."""
    check("model", model, isinstance(model, nn.Module), "a torch.nn.Module")
    while True:
        if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


def prunable_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights that pruning may set to zero: tensors with two or more dimensions.

    Biases and the parameters of batch normalisation have one dimension and stay. Sparsity is
    always the share of zeros among these weights.

    Args:
        model: any module.

    Returns:
        Parameter name → the parameter itself, in the order in which the model registers them,
        each once. A masked or parametrised weight is computed from its parameters, which its
        gradient reaches: ask again after they have changed.

    Raises:
        ValueError: the model has no such parameter.
    """
    found = plain_parameters(model)
    for name, weight in found.items():
        # By its class: torch.compile cannot follow nn.parameter.is_lazy.
        if isinstance(weight, nn.UninitializedParameter) or weight.is_meta:
            raise ValueError(f"model has {name} without values; run it once, or load its weights")
    dense = {name: weight for name, weight in found.items() if weight.dim() >= 2 and weight.numel()}
    weights = {name: weight for name, weight in dense.items() if weight.is_floating_point()}
    if not weights:
        needed = "a parameter with at least two dimensions, as of a linear or convolutional layer"
        raise ValueError(f"model {type(model).__name__} has no weights to prune, needs {needed}")
    return weights


def plain_name(path: str, attribute: str) -> str:
    """The name of a module's tensor, without what ``torch.compile`` puts into it."""
    return _clean(f"{path}.{attribute}" if path else attribute)


def plain_state(model: nn.Module) -> dict[str, Tensor]:
    """The ``state_dict`` that the model would have without wrappers, masks, parametrisations."""
    model = unwrapped(model)
    once = {module: _computed(module) for _, module in _modules(model)}
    computed = {
        plain_name(path, name): made.weight.detach()
        for path, module in _modules(model, twice=True)
        for name, made in once[module].items()
    }
    left = {name + ending: name for name in computed for ending in _LEFT}
    state: dict[str, Tensor] = {}
    for key, tensor in model.state_dict().items():
        key = _clean(key)
        name = left.get(key) or _parametrised(key)
        state |= {name: computed[name]} if name in computed else {key: tensor}
    return state


def make_plain(model: nn.Module) -> nn.Module:
    """Take masks and parametrisations off a network, in place; its weights stay as they are.

    Raises:
        ValueError: a masked or parametrised weight is tied to another tensor, so that the two
            would become one (named).
    """
    inner = unwrapped(model)
    # All of them, before the first changes what others are computed from.
    found = [
        (plain_name(path, name), module, name, made._replace(weight=made.weight.detach().clone()))
        for path, module in _modules(inner)
        for name, made in _computed(module).items()
    ]
    _check_ties(inner, {key: made for key, _, _, made in found})
    done: set[int] = set()
    for _, module, name, (weight, behind, hook) in found:
        if hook is None:
            # The first of tied ones leaves its weight in the parameter behind all of them.
            first = behind is None or id(behind) not in done
            parametrize.remove_parametrizations(module, name, leave_parametrized=first)
            done.add(id(behind))
        else:
            hook.remove(module)  # the hook's own clean-up: a parameter of that name again
            for key in [k for k, known in module._forward_pre_hooks.items() if known is hook]:
                del module._forward_pre_hooks[key]
        with torch.no_grad():
            getattr(module, name).copy_(weight)
        getattr(module, name).grad = None  # that of what it was computed from
    return model


def load_plain(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a ``plain_state`` into a network, from which masks and parametrisations are taken off."""
    inner = unwrapped(make_plain(model))
    inner.load_state_dict({key: state[_clean(key)] for key in inner.state_dict()})


class _Made(NamedTuple):
    """A computed weight, the parameter behind it if it is one, and the hook that computes it."""

    weight: Tensor
    behind: Tensor | None
    hook: prune.BasePruningMethod | WeightNorm | None


def _check_ties(model: nn.Module, found: Mapping[str, _Made]) -> None:
    """Refuse weights that would become one with others of another value."""
    uses = Counter(id(p) for module in model.modules() for p in module._parameters.values())
    for name, made in found.items():
        tied = [m.weight for m in found.values() if m.behind is made.behind]
        alike = all(torch.equal(made.weight, t) for t in tied)
        alike &= len(tied) == uses[id(made.behind)]
        if made.behind is not None and not alike:
            told = "masked or parametrised here and tied to another place"
            raise ValueError(f"model has the weight {name}, {told}; give each a tensor of its own")


def plain_parameters(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter as the plain network would have it, by name, each once."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for path, module in _modules(unwrapped(model)):
        computed = {name: made.weight for name, made in _computed(module).items()}
        hidden = {name + ending for name in computed for ending in _LEFT}
        own = {n: p for n, p in module.named_parameters(recurse=False) if n not in hidden}
        for name, weight in (own | computed).items():
            if id(weight) not in seen:
                seen.add(id(weight))
                found[plain_name(path, name)] = weight
    return found


def check_settable(parameters: Mapping[str, Tensor], purpose: str) -> None:
    """Refuse what is computed from other tensors, so that nothing can be written into it."""
    for name, weight in parameters.items():
        if not isinstance(weight, nn.Parameter):
            told = f"model has the masked or parametrised weight {name}, which cannot {purpose}"
            raise ValueError(f"{told}; call nnc.make_plain(model) before sharing")


def wide(tensor: Tensor) -> Tensor:
    """The numbers of a tensor, in float32 at least."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _modules(model: nn.Module, twice: bool = False) -> Iterator[tuple[str, nn.Module]]:
    """All modules but those that parametrisations consist of, and compiled ones' wrappers."""
    for path, module in model.named_modules(remove_duplicate=not twice):
        if "parametrizations" not in path.split(".") and "_orig_mod" not in module._modules:
            yield path, module


def _computed(module: nn.Module) -> dict[str, _Made]:
    """The weights of one module that are computed from others, by attribute."""
    found: dict[str, _Made] = {}
    if parametrize.is_parametrized(module):
        parametrized: nn.ModuleDict = module.parametrizations  # type: ignore[assignment]
        for name, steps in parametrized.items():
            found[name] = _Made(getattr(module, name), getattr(steps, "original", None), None)
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, prune.BasePruningMethod):
            behind = getattr(module, f"{hook._tensor_name}_orig")
            found[hook._tensor_name] = _Made(hook.apply_mask(module), behind, hook)
        elif isinstance(hook, WeightNorm):
            found[hook.name] = _Made(hook.compute_weight(module), None, hook)
    return found


def _parametrised(key: str) -> str:
    """``layer.weight`` of ``layer.parametrizations.weight.original0``; nothing of others."""
    path, found, rest = f".{key}".partition(".parametrizations.")
    return f"{path}.{rest.partition('.')[0]}".lstrip(".") if found else ""


def _clean(name: str) -> str:
    return name.replace(_COMPILED, "")
