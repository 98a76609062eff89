"""The command ``nnc-book``: run and search recipes, keep records, look at data sets."""

from __future__ import annotations

import argparse
import ast
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nnc.cli import Parser
from nnc.cli import run as run_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``nnc-book`` and return its exit status."""
    return run_command(_parser(), arguments)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="nnc-book", description="The book's recipes, records and data sets.")
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

    search = commands.add_parser("search", help="compare a recipe's trials on validation images")
    search.add_argument("recipe")
    search.add_argument("--out", type=Path, help="folder (runs/search/RECIPE)")
    _add_root(search)
    search.set_defaults(command=_search)

    record = commands.add_parser("record", help="recorded runs: add, trials, list, verify")
    actions = record.add_subparsers(required=True, metavar="ACTION")
    add = actions.add_parser("add", help="promote finished runs to the recipe's record")
    add.add_argument("folders", nargs="+", type=Path, help="what nnc-book run wrote")
    add.set_defaults(command=_record_add)
    trials = actions.add_parser("trials", help="keep a search's trials beside the record")
    trials.add_argument("folder", type=Path, help="what nnc-book search wrote")
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
    return parser


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, help="folder of data sets (else NNC_DATA)")


def _run(options: argparse.Namespace) -> int:
    from nnc_book.pictures import load
    from nnc_book.recipes import RECIPES, get
    from nnc_book.running import run

    if options.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:24} {recipe.summary} ({recipe.dataset})")
        return 0
    if options.recipe is None:
        raise ValueError("recipe is missing; nnc-book run --list shows them")
    recipe = get(options.recipe)
    settings = _with_settings(recipe.settings, options.set)
    name = options.data or recipe.dataset
    folder = options.out or Path("runs", recipe.name, Path(name).name, f"seed-{options.seed}")
    result = run(recipe, settings, load(name, options.root), options.seed, folder)
    for metric, value in result["run"]["metrics"].items():
        print(f"{metric:20} {value:.6g}")
    print(f"written to {folder}")
    return 0


def _with_settings(current: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The settings with ``NAME=VALUE`` changes, each of the type it had."""
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
    return current | new


def _search(options: argparse.Namespace) -> int:
    from nnc_book.pictures import load
    from nnc_book.recipes import get
    from nnc_book.running import search

    recipe = get(options.recipe)
    folder = options.out or Path("runs", "search", recipe.name)
    search(recipe, load(recipe.dataset, options.root), folder)
    print(f"written to {folder}")
    return 0


def _record_add(options: argparse.Namespace) -> int:
    from nnc_book import records

    recipe = records.add(options.folders)
    print(f"{recipe}: {len(records.read(recipe)['runs'])} runs recorded")
    return 0


def _record_trials(options: argparse.Namespace) -> int:
    from nnc_book import records

    recipe, count = records.add_trials(options.folder)
    print(f"{recipe}: {count} trials kept")
    return 0


def _record_list(options: argparse.Namespace) -> int:
    from nnc_book import records

    for name in records.names():
        record = records.read(name)
        accuracy = records.mean(name, "test_accuracy")
        print(
            f"{name:24} {len(record['runs'])} runs on {record['dataset']['name']}, "
            f"test accuracy {accuracy:.4f}"
        )
    return 0


def _record_verify(options: argparse.Namespace) -> int:
    from nnc_book import records
    from nnc_book.pictures import load
    from nnc_book.records.checks import check

    once = functools.cache(functools.partial(load, root=options.root, download=False))
    failed = False
    for name in options.recipes or records.names():
        wrong, evaluated = check(name, once)
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
