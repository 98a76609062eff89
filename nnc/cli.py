"""The command ``nnc``: pack, unpack and inspect networks, print them as codes, turn them into C."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

_MODELS = {"lenet300": "LeNet300100", "lenet5": "LeNet5Caffe"}
_MODELS |= {name: name for name in ("mini_vgg", "vgg13")}


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and leave with status 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def run(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse arguments and call their ``command``; what goes wrong is one line of text.

    Gives the exit status: 0, 1 where a check found something, 2 for bad arguments or data, 130
    after Ctrl-C.
    """
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        return command(options)
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"{parser.prog}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"{parser.prog}: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``nnc`` and return its exit status."""
    return run(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="nnc", description="Small files for trained networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    pack = commands.add_parser("pack", help="store any trained network: prune, cluster, code")
    pack.add_argument("source", type=Path, help="a .safetensors file, or one that torch.save wrote")
    pack.add_argument("target", type=Path, help="the .sws file")
    pack.add_argument("--bits", type=int, default=4, help="2 to this many levels a tensor (4)")
    pack.add_argument("--prune", type=float, default=0.0, help="share of weights set to zero (0)")
    pack.add_argument("--precision", choices=("float32", "float16"), default="float16")
    pack.set_defaults(command=_pack)
    unpack = commands.add_parser("unpack", help="a stored network as .safetensors")
    unpack.add_argument("source", type=Path, help="a .sws file")
    unpack.add_argument("target", type=Path, help="the .safetensors file")
    unpack.set_defaults(command=_unpack)
    inspect = commands.add_parser("inspect", help="what is in a stored network")
    inspect.add_argument("file", type=Path)
    inspect.set_defaults(command=_inspect)
    qr = commands.add_parser("qr", help="a stored network as a QR code to print")
    qr.add_argument("source", type=Path, help="a .sws file of at most 2,953 bytes")
    qr.add_argument("target", type=Path, help="the picture, .svg, .png or .pdf")
    qr.set_defaults(command=_qr)
    export = commands.add_parser("export", help="a stored network as C for a small device")
    export.add_argument("source", type=Path, help="a .sws file")
    export.add_argument("--c", type=Path, required=True, metavar="FOLDER", help="for the C files")
    known = f"{', '.join(_MODELS)}, or module:function, which makes it"
    export.add_argument("--model", required=True, help=f"the architecture: {known}")
    export.add_argument("--input", help="one input's shape, as 1x28x28 (what the model says)")
    export.add_argument("--name", default="net", help="of files and functions (net)")
    export.set_defaults(command=_export)
    return parser


def _pack(options: argparse.Namespace) -> int:
    from nnc import storage
    from nnc.storage import packing

    if not 1 <= options.bits <= 16:
        raise ValueError(f"--bits is {options.bits}, must be from 1 to 16")
    if options.target.suffix != ".sws":
        raise ValueError(f"target is {options.target}, must end in .sws")
    zeros, weights = packing.pack(
        options.source, options.target, 2**options.bits, options.prune, options.precision
    )
    entries = storage.open(options.target).entries.values()
    _print_size(options.target, sum(e.scalars for e in entries), zeros / weights)
    return 0


def _unpack(options: argparse.Namespace) -> int:
    from nnc.storage import packing

    packing.unpack(options.source, options.target)
    print(f"{options.target}: {options.target.stat().st_size} bytes")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from nnc import storage

    quantised = storage.load(options.file)
    file = storage.describe(options.file.read_bytes())
    print(
        f"{'tensor':24} {'shape':>14} {'sparsity':>9} {'levels':>7} {'coder':>9} "
        f"{'bits/weight':>12} {'bytes':>9} {'share':>7}"
    )
    for entry in file.entries:
        sparsity = f"{quantised.sparsity(entry.name):.4f}" if entry.name in quantised.codes else ""
        shape = " × ".join(map(str, entry.shape))
        bits = 8 * entry.size / max(1, entry.count)
        print(
            f"{entry.name:24} {shape:>14} {sparsity:>9} {entry.book or '':>7} {entry.form:>9} "
            f"{bits:12.3f} {entry.size:9} {entry.size / file.size:7.1%}"
        )
    print(f"{'names, shapes, checksum':87} {file.overhead:9} {file.overhead / file.size:7.1%}")
    for key, text in file.metadata.items():
        print(f"{key}: {text}")
    _print_size(options.file, sum(e.scalars for e in file.entries), quantised.sparsity())
    return 0


def _qr(options: argparse.Namespace) -> int:
    from nnc import storage
    from nnc.files import atomic_write
    from nnc.storage.qr import qr_code

    kind = options.target.suffix.removeprefix(".")
    if kind not in ("svg", "png", "pdf"):
        raise ValueError(f"target is {options.target}, must end in .svg, .png or .pdf")
    data = options.source.read_bytes()
    storage.load(options.source)  # what cannot be read is not printed
    code, picture = qr_code(data), io.BytesIO()
    code.save(picture, kind=kind, scale=4, light="white")  # four pixels a module
    atomic_write(options.target, picture.getvalue())
    print(f"{options.target}: {len(data)} bytes, QR code of version {code.designator}")
    return 0


def _export(options: argparse.Namespace) -> int:
    from nnc import storage

    shape = options.input and options.input.split("x")
    if shape and not all(side.isdecimal() for side in shape):
        raise ValueError(f"--input is {options.input!r}, must be sizes, as 1x28x28")
    model, quantised = _model(options.model), storage.load(options.source)
    sizes = [int(side) for side in shape] if shape else None
    storage.export_c(quantised, model, options.c, name=options.name, input_shape=sizes)
    print(
        f"{options.c / options.name}.c: compile it with -Os; {options.name}.h says how to call it"
    )
    return 0


def _model(name: str) -> Any:
    """A network without its weights, by its name or that of what makes it."""
    import nnc

    if name in _MODELS:
        return getattr(nnc, _MODELS[name])()
    module, _, function = name.partition(":")
    if not function:
        raise ValueError(
            f"--model is {name!r}, must be one of {', '.join(_MODELS)}, or module:function"
        )
    sys.path.insert(0, "")  # modules beside, as python -m finds them
    try:
        return getattr(importlib.import_module(module), function)()
    except AttributeError as error:
        raise ValueError(f"--model is {name!r}, which cannot be made ({error})") from None


def _print_size(path: Path, scalars: int, sparsity: float) -> None:
    size = path.stat().st_size
    print(
        f"{path}: {size} bytes, {4 * scalars / size:.1f} times smaller than float32; sparsity "
        f"{sparsity:.4f}"
    )
