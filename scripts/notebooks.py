"""Execute chapters, several at a time.

``notebooks.py [book/NAME.ipynb ...]`` executes in place and stores the outputs (`make notebooks`);
``notebooks.py --into FOLDER`` leaves the chapters alone and writes executed copies below FOLDER
(`make book`); ``notebooks.py --setup-only`` executes nothing and renews what every chapter begins
with. Without names it takes every chapter of _toc.yml.

Every chapter begins with the same cell, which installs the book where it is not (Colab): the
release of pyproject.toml, or else what the repository of _config.yml holds at its branch, or at
the commit that ``--at`` or ``NNC_AT`` in the environment names. And a cell that is folded in the
page is folded in Jupyter and Colab too.

What differs from run to run without meaning anything is left out: times of execution, the
interpreter's version, random widget ids, memory addresses. So a second run changes nothing,
and a change in a notebook's diff is a change in the chapter.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import time
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
VOLATILE = ("execution", "ExecuteTime", "collapsed", "scrolled")
STATE = "application/vnd.jupyter.widget-state+json"
# Cells of which the page shows the output alone, or nothing until asked.
FOLDED = {"hide-input": {}, "remove-input": {}, "hide-cell": {"outputs_hidden": True}}
SETUP = """\
# In Colab this installs the book: its release, or else what its repository holds.
try:
    import nnc_book
except ModuleNotFoundError:
    %pip install -q {release} 2> /dev/null \\
        || pip install -q git+{address}@{at}

import math

import torch
from IPython.display import Markdown, display

import nnc
from nnc_book import check, lessons, plots, published, records

lessons.setup()"""
ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]{6,}")  # as Python shows objects; not any number


def documents() -> list[str]:
    """The pages of _toc.yml, as paths without suffix, in reading order."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    entries = list(toc.get("chapters", []))
    for part in toc.get("parts", []):
        entries += part["chapters"]
    return [toc["root"], *(entry["file"] for entry in entries)]


def chapters() -> list[Path]:
    """The notebooks among the pages."""
    return [path for name in documents() if (path := ROOT / f"{name}.ipynb").exists()]


def setup_cell(at: str = "") -> str:
    """The cell that every chapter begins with.

    Args:
        at: the branch or commit to install where there is no release; that of _config.yml if empty.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return SETUP.format(
        release=f"{project['name']}=={project['version']}",
        address=found["url"],
        at=at or os.environ.get("NNC_AT") or found["branch"],
    )


def folded(notebook: Any, at: str = "") -> Any:
    """A notebook with the common first cell, folded alike in the page, in Jupyter and in Colab."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = setup_cell(at)
    first.metadata["tags"] = ["hide-input"]
    for cell in notebook.cells:
        ways = [FOLDED[tag] for tag in cell.metadata.get("tags", []) if tag in FOLDED]
        cell.metadata.pop("cellView", None)  # Colab's
        cell.metadata.pop("jupyter", None)
        if ways:
            cell.metadata |= {"cellView": "form", "jupyter": {"source_hidden": True} | ways[0]}
    return notebook


def tidy(notebook: Any) -> Any:
    """A notebook less what differs from run to run."""
    notebook.metadata["kernelspec"] = KERNEL
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for key in VOLATILE:
            cell.metadata.pop(key, None)
    text = ADDRESS.sub("0x0", json.dumps(notebook))
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    for number, model in enumerate(state):
        text = text.replace(model, f"widget-{number:03}")
    return nbformat.from_dict(json.loads(text))


def execute(path: Path, target: Path, at: str = "") -> str:
    """Execute one chapter into a file; returns what went wrong, or nothing."""
    notebook = folded(nbformat.read(path, as_version=4), at)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        # A kernel warns that others could listen; it is this machine's own, and lives for seconds.
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        return str(error)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".tmp")
    nbformat.write(tidy(notebook), partial)
    os.replace(partial, target)
    return ""


def timed(path: Path, target: Path, at: str) -> tuple[str, float]:
    """Execute one chapter; also returns the seconds it took."""
    began = time.perf_counter()
    return execute(path, target, at), time.perf_counter() - began


def main(arguments: list[str]) -> int:
    """Execute the named chapters, or all, and say how each went."""
    parser = argparse.ArgumentParser(description="execute chapters and store their outputs")
    parser.add_argument("chapters", nargs="*", type=Path, help="notebooks; without any, all")
    parser.add_argument("--into", type=Path, help="folder for executed copies; else in place")
    parser.add_argument("--at", default="", help="what to install from; else _config.yml's branch")
    parser.add_argument("--setup-only", action="store_true", help="renew the first cells alone")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.chapters] or chapters()
    if options.setup_only:
        for path in paths:
            nbformat.write(folded(nbformat.read(path, as_version=4), options.at), path)
        return 0
    targets = paths
    if options.into:
        shutil.rmtree(options.into, ignore_errors=True)
        targets = [options.into / path.relative_to(ROOT) for path in paths]
    failed = 0
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, 4)) as pool:
        done = pool.map(timed, paths, targets, [options.at] * len(paths))
        for path, (problem, seconds) in zip(paths, done, strict=True):
            print(f"{path.name}: {problem or 'executed'} ({seconds:.0f} s)", flush=True)
            failed += bool(problem)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
