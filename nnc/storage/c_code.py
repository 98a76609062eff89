"""A network as C: its compressed bytes, the reader, and a function that predicts."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from nnc.files import atomic_write
from nnc.models import answer
from nnc.pruning.quantised import Quantised
from nnc.storage import coding, container
from nnc.storage.tensors import Precision

_HERE = Path(__file__).parent
# Arithmetic with a number x, as a factor and a shift.
_AFFINE: dict[str, Callable[[float], tuple[float, float]]] = {
    "add": lambda x: (1.0, x),
    "sub": lambda x: (1.0, -x),
    "mul": lambda x: (x, 0.0),
    "div": lambda x: (1 / x, 0.0),
}


def export_c(
    quantised: Quantised,
    model: nn.Module,
    folder: Path | str,
    *,
    name: str = "net",
    input_shape: Sequence[int] | None = None,
) -> None:
    """Write ``name.c``, ``name.h`` and what they include: C99 that predicts with the network.

    Args:
        quantised: the weights.
        model: the architecture, a chain of linear layers, convolutions, batch norms (folded),
            ReLU, maximum pools, dropout and flattening, and of arithmetic with one number.
        folder: where to, made if it is missing.
        name: what files and the function ``name_predict`` are called.
        input_shape: of one input, without the batch; ``model.input_shape`` unless given.

    Raises:
        ValueError: the name is none in C, the weights do not fit the model, or it has a layer of
            another kind (named).
    """
    if not re.fullmatch("[A-Za-z_][A-Za-z_0-9]*", name):
        raise ValueError(f"name is {name!r}, must be one that C allows, such as 'net'")
    shape = tuple(getattr(model, "input_shape", ()) if input_shape is None else input_shape)
    if not shape:
        raise ValueError("input_shape is missing and the model has none; give one, as (1, 28, 28)")
    plain = quantised.load_into(copy.deepcopy(model)).cpu().float().eval()
    program = _Program(plain, shape, quantised)
    for file, text in program.files(name).items():
        atomic_write(Path(folder) / file, text.encode())
    for file in ("sws.h", "layers.h"):
        atomic_write(Path(folder) / file, (_HERE / file).read_bytes())


class _Program:
    """The calls that a model is, and the tensors that they read."""

    def __init__(self, model: nn.Module, shape: tuple[int, ...], quantised: Quantised) -> None:
        self.model, self.shape, self.quantised = model, shape, quantised
        self.state = quantised.state_dict()
        self.rest: dict[str, Tensor] = {}
        self.codes: dict[str, Tensor] = {}
        self.calls: list[tuple[str, str]] = []  # with {at} for the place of a tensor, and its name
        self.bias: tuple[str, Tensor] | None = None  # of the last layer, not added yet
        self.now, self.room = "input", {"a": 1, "b": 1}  # where values are; numbers in buffers
        exported = _exported(model, torch.zeros(1, *shape))
        signature = exported.graph_signature
        self.names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        (self.before,) = (n for n in exported.graph.nodes if n.name in signature.user_inputs)
        for node in exported.graph.nodes:
            if node.op == "call_function":
                self._add(node)
        self._add_bias()
        self.outputs = self.before.meta["val"].numel()

    def _add(self, node: Any) -> None:
        """One more operation."""
        kind = _kind(node)
        step = getattr(self, "_do_arithmetic" if kind in _AFFINE else f"_do_{kind}", None)
        if step is None or "padding" in str(node.target) or node.kwargs:
            raise self._refused(node, str(node.target))
        other = [x for x in node.args[1:] if isinstance(x, fx.Node)]
        if node.args[0] is not self.before or any(x.name not in self.names for x in other):
            raise self._refused(node, f"{node.target} of more than what comes before it")
        if kind != "batch_norm":
            self._add_bias()
        step(node)
        self.before = node

    def _refused(self, node: Any, what: str) -> ValueError:
        path, _ = next(reversed(node.meta.get("nn_module_stack", {"": ("", "")}).values()))
        return ValueError(
            f"model {type(self.model).__name__} has {what} in {path or 'its forward'}, must be a "
            "chain of Linear, Conv2d, BatchNorm, ReLU, MaxPool2d, Dropout and Flatten"
        )

    def _call(self, text: str, name: str = "") -> None:
        self.calls.append((text, self.quantised.ties.get(name, name)))

    def _moved(self, node: Any) -> tuple[str, str]:
        """The buffers that an operation reads and writes, which are two."""
        now, self.now = self.now, "b" if self.now == "a" else "a"
        self.room[self.now] = max(self.room[self.now], node.meta["val"].numel())
        return now, self.now

    def _in_place(self, node: Any) -> tuple[str, str]:
        """The same for an operation on each number, which may write where it reads."""
        return self._moved(node) if self.now == "input" else (self.now, self.now)

    def _layer(self, node: Any) -> str:
        """The name of a layer's weight, which is kept; its bias is for later."""
        weight, *bias = (self.names[x.name] for x in node.args[1:3] if x is not None)
        self.bias = (bias[0], self.state[bias[0]]) if bias else None
        owner = self.quantised.ties.get(weight, weight)
        coded = owner in self.quantised.codes
        kept = self.codes if coded else self.rest
        kept[owner] = self.quantised.codes[owner] if coded else self.state[owner]
        return weight

    def _by_channel(self, what: str, name: str, numbers: Tensor) -> None:
        self.rest[name] = numbers
        plane = self.before.meta["val"].numel() // len(numbers)
        self.calls.append((f"layers_{what}(&file, {{at}}, {self.now}, {plane})", name))

    def _add_bias(self) -> None:
        if self.bias is not None:
            self._by_channel("shift", *self.bias)
            self.bias = None

    def _do_linear(self, node: Any) -> None:
        if self.before.meta["val"].dim() != 2:
            raise self._refused(node, "a linear layer of what is not flat")
        weight, (now, out) = self._layer(node), self._moved(node)
        self._call(f"layers_linear(&file, {{at}}, {now}, {out}, {len(self.state[weight])})", weight)

    def _do_conv2d(self, node: Any) -> None:
        stride, padding, dilation, groups = _given(node, 3, [1], [0], [1], 1)
        if {*dilation, groups} != {1}:
            raise self._refused(node, "a convolution with dilation or groups")
        weight, (now, out) = self._layer(node), self._moved(node)
        outputs, _, *kernel = self.state[weight].shape
        window = self._window(node, kernel, stride, padding)
        self._call(f"layers_convolution(&file, {{at}}, {now}, {out}, {outputs}, {window})", weight)

    def _do_max_pool2d(self, node: Any) -> None:
        stride, padding, dilation, ceiling = _given(node, 2, [], [0], [1], False)
        if {*dilation} != {1} or ceiling:
            raise self._refused(node, "a pool with dilation or ceil_mode")
        window = self._window(node, node.args[1], stride or node.args[1], padding)
        now, out = self._moved(node)
        self._call(f"layers_pool({now}, {out}, {window})")

    def _window(self, node: Any, *sides: Sequence[int]) -> str:
        """What slides over the values, in C: sides of kernel, stride and padding."""
        pairs = (f"{{{side[0]}, {side[-1]}}}" for side in sides)
        sizes = [*map(str, self.before.meta["val"].shape[1:]), *pairs]
        return f"(layers_window){{{', '.join([*sizes, *map(str, node.meta['val'].shape[2:])])}}}"

    def _do_batch_norm(self, node: Any) -> None:
        if node.args[5]:
            raise self._refused(node, "a batch norm without running statistics")
        weight, bias, mean, variance = (
            None if x is None else self.state[self.names[x.name]].double() for x in node.args[1:5]
        )
        assert mean is not None
        assert variance is not None
        scale = (variance + node.args[7]).rsqrt() * (1 if weight is None else weight)
        before = 0 if self.bias is None else self.bias[1].double()
        shift = (before - mean) * scale + (0 if bias is None else bias)
        self.bias = f"{node.name}.bias", shift.float()
        if self.now == "input":
            self._affine(node, 1.0, 0.0)
        self._by_channel("scale", f"{node.name}.weight", scale.float())

    def _do_relu(self, node: Any) -> None:
        now, out = self._in_place(node)
        self._call(f"layers_relu({now}, {out}, {node.meta['val'].numel()})")

    def _do_arithmetic(self, node: Any) -> None:
        if not isinstance(node.args[1], int | float):
            raise self._refused(node, f"{node.target} of two tensors")
        self._affine(node, *_AFFINE[_kind(node)](float(node.args[1])))

    def _affine(self, node: Any, factor: float, shift: float) -> None:
        (now, out), count = self._in_place(node), node.meta["val"].numel()
        self._call(f"layers_affine({now}, {out}, {count}, (float){factor!r}, (float){shift!r})")

    def _do_flatten(self, node: Any) -> None:
        """Values stay where they are."""

    _do_view = _do_reshape = _do_dropout = _do_flatten

    def files(self, name: str) -> dict[str, str]:
        """The texts of the two files."""
        books = {weight: self.quantised.codebooks[weight] for weight in self.codes}
        small = Quantised(self.codes, books, self.rest)
        precision: Precision = "float16" if _fits_half(small) else "float32"
        data = container.write(coding.to_entries(small, precision), {})
        file = container.read(data, len(data) ** 2)
        places = {entry.name: str(at) for at, entry in enumerate(file.entries)}
        lines = []
        for text, tensor in self.calls:
            check = "error = " if tensor else ""
            lines.append(f"    if (!error) {check}{text.replace('{at}', places.get(tensor, ''))};")
        rows = (data[at : at + 20] for at in range(0, len(data), 20))
        about = {
            "name": name, "guard": name.upper(), "size": len(data),
            "outputs": self.outputs, "inputs": math.prod(self.shape), "last": self.now,
            "shape": " x ".join(map(str, self.shape)), "lines": "\n".join(lines),
            "bytes": "\n".join("    " + " ".join(f"{byte}," for byte in row) for row in rows),
        }  # fmt: skip
        texts = {end: (_HERE / f"net{end}.in").read_text(encoding="utf-8") for end in (".c", ".h")}
        return {name + end: text.format(**about, **self.room) for end, text in texts.items()}


def _exported(model: nn.Module, images: Tensor) -> Any:
    answer(model, images)
    try:
        return torch.export.export(model, (images,))
    except RuntimeError as error:
        why = next(iter(str(error).splitlines()), "no reason given")
        raise ValueError(f"model {type(model).__name__} cannot be traced ({why})") from None


def _kind(node: Any) -> str:
    """An operation's name, without what it belongs to and that it works in place."""
    return str(node.target).removeprefix("aten.").split(".")[0].removesuffix("_")


def _given(node: Any, first: int, *defaults: Any) -> list[Any]:
    """The arguments of an operation from a place on, or what they are unless given."""
    given = node.args[first:]
    return [*given, *defaults[len(given) :]]


def _fits_half(quantised: Quantised) -> bool:
    """Whether float16 holds every float32 number exactly."""
    numbers = [*quantised.codebooks.values(), *quantised.rest.values()]
    return all(torch.equal(t, t.half().float()) for t in numbers if t.dtype == torch.float32)
