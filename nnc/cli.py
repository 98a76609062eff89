"""The command ``nnc``: run and search recipes, keep records, look at data and files."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from nnc.quantised import Quantised


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        The exit status: 0, 1 where a check found something, 2 for bad arguments or data,
        130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"nnc: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as stop:
        print(f"nnc: {str(stop) or 'stopped'}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="nnc", description="Compressing neural networks: the book's command.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a recipe; a run that was stopped goes on")
    run.add_argument("recipe", nargs="?", help="its name; --list shows them")
    run.add_argument("--list", action="store_true", help="list the recipes")
    run.add_argument("--seed", type=int, default=0, help="of weights and order (0)")
    run.add_argument("--data", help="a data set other than the recipe's, or a folder of images")
    run.add_argument("--out", type=Path, help="folder (runs/RECIPE/DATA/seed-N)")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting")
    _add_root(run)
    run.set_defaults(command=_run)

    search = commands.add_parser("search", help="search a recipe's settings on validation images")
    search.add_argument("recipe")
    search.add_argument("--study", type=Path, help="the study's file (runs/search/RECIPE.study)")
    search.add_argument("--trials", type=int, default=40, help="finished trials in all (40)")
    search.add_argument("--hours", type=float, default=3.0, help="of this call at most (3)")
    _add_root(search)
    search.set_defaults(command=_search)

    record = commands.add_parser("record", help="recorded runs: add, trials, list, verify")
    actions = record.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="promote finished runs to the recipe's record")
    add.add_argument("folders", nargs="+", type=Path, help="what nnc run wrote")
    add.set_defaults(command=_record_add)
    trials = actions.add_parser("trials", help="keep a search's trials beside the record")
    trials.add_argument("recipe")
    trials.add_argument("study", type=Path)
    _add_root(trials)
    trials.set_defaults(command=_record_trials)
    listing = actions.add_parser("list", help="list the records")
    listing.set_defaults(command=_record_list)
    verify = actions.add_parser("verify", help="check records against their files and the data")
    verify.add_argument("recipes", nargs="*", help="all unless given")
    _add_root(verify)
    verify.set_defaults(command=_record_verify)

    data = commands.add_parser("data", help="which data sets there are and where they are")
    _add_root(data)
    data.set_defaults(command=_data)

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
    return parser


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, help="folder of data sets (else NNC_DATA)")


def _run(options: argparse.Namespace) -> int:
    from nnc.data import load
    from nnc.recipes import RECIPES, get
    from nnc.recipes.running import run

    if options.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:24} {recipe.summary} ({recipe.dataset})")
        return 0
    if options.recipe is None:
        raise ValueError("recipe is missing; nnc run --list shows them")
    recipe = get(options.recipe)
    settings = _with_settings(recipe.settings, options.set)
    name = options.data or recipe.dataset
    folder = options.out or Path("runs", recipe.name, Path(name).name, f"seed-{options.seed}")
    result = run(recipe, settings, load(name, options.root), options.seed, folder)
    for metric, value in result["run"]["metrics"].items():
        print(f"{metric:20} {value:.6g}")
    print(f"written to {folder}")
    return 0


def _with_settings(settings: Any, changes: Sequence[str]) -> Any:
    """The settings with ``NAME=VALUE`` changes, each of the type it had."""
    current = dataclasses.asdict(settings)
    new = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in current or not text:
            raise ValueError(
                f"--set is {change!r}, must be NAME=VALUE with one of {', '.join(current)}"
            )
        kind = type(current[name])
        try:
            value = text if kind is str else ast.literal_eval(text)
            new[name] = kind(value)
            if kind is int and new[name] != value:
                raise ValueError
        except (ValueError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError):
            raise ValueError(f"--set {name} is {text!r}, must be of type {kind.__name__}") from None
    return dataclasses.replace(settings, **new)


def _search(options: argparse.Namespace) -> int:
    from nnc.data import load
    from nnc.recipes import get
    from nnc.recipes.search import search

    recipe = get(options.recipe)
    study = options.study or Path("runs", "search", f"{recipe.name}.study")
    search(recipe, load(recipe.dataset, options.root), study, options.trials, options.hours)
    return 0


def _record_add(options: argparse.Namespace) -> int:
    from nnc import records

    recipe = records.add(options.folders)
    print(f"{recipe}: {len(records.read(recipe)['runs'])} runs recorded")
    return 0


def _record_trials(options: argparse.Namespace) -> int:
    from nnc import records
    from nnc.data import load
    from nnc.recipes import get
    from nnc.recipes.search import export

    recipe = get(options.recipe)
    if not options.study.is_file():
        raise FileNotFoundError(f"{options.study} is not there; nnc search writes it")
    target = records.FOLDER / f"{recipe.name}.trials.json"
    count = export(recipe, load(recipe.dataset, options.root), options.study, target)
    print(f"{recipe.name}: {count} trials kept")
    return 0


def _record_list(options: argparse.Namespace) -> int:
    from nnc import records

    for name in records.names():
        record = records.read(name)
        accuracy = records.mean(name, "test_accuracy")
        print(
            f"{name:24} {len(record['runs'])} runs on {record['dataset']['name']}, "
            f"test accuracy {accuracy:.4f}"
        )
    return 0


def _record_verify(options: argparse.Namespace) -> int:
    from nnc import records
    from nnc.recipes.running import verify

    failed = False
    for name in options.recipes or records.names():
        wrong, evaluated = verify(name, options.root)
        failed |= bool(wrong)
        how = "files and test accuracy" if evaluated else "files; its data set is not here"
        print("\n".join(wrong) if wrong else f"{name}: right ({how})")
    return int(failed)


def _data(options: argparse.Namespace) -> int:
    from nnc.data import NAMES, load, where

    for name in NAMES:
        looked = where(name, options.root)
        here = [folder for folder in looked if folder.exists()]
        if here or not looked:
            place = str(here[0]) if here else "part of the package"
            print(f"{name:14} {load(name, options.root, download=False).fingerprint:64} {place}")
        else:
            print(f"{name:14} not here; looked for {' and '.join(map(str, looked))}")
    return 0


def _pack(options: argparse.Namespace) -> int:
    from nnc import packing, storage

    if not 1 <= options.bits <= 16:
        raise ValueError(f"--bits is {options.bits}, must be from 1 to 16")
    if options.target.suffix != ".sws":
        raise ValueError(f"target is {options.target}, must end in .sws")
    quantised = packing.pack(options.source, 2**options.bits, options.prune)
    storage.save(quantised, options.target, precision=options.precision, progress=True)
    _print_size(options.target, quantised)
    return 0


def _unpack(options: argparse.Namespace) -> int:
    from nnc import packing

    packing.unpack(options.source, options.target)
    print(f"{options.target}: {options.target.stat().st_size} bytes")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from nnc import storage

    quantised = storage.load(options.file, progress=True)
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
    _print_size(options.file, quantised)
    return 0


def _print_size(path: Path, quantised: Quantised) -> None:
    size = path.stat().st_size
    print(
        f"{path}: {size} bytes, {quantised.compression_ratio(size):.1f} times smaller than "
        f"float32; sparsity {quantised.sparsity():.4f}"
    )


if __name__ == "__main__":
    sys.exit(main())
