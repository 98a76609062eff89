"""Execute chapters, several at a time.

``notebooks.py [book/NAME.ipynb ...]`` executes in place and stores the outputs (`make notebooks`);
``notebooks.py --into FOLDER`` leaves the chapters alone and writes executed copies below FOLDER
(`make book`). Without names it takes every chapter of _toc.yml.

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


def execute(path: Path, target: Path) -> str:
    """Execute one chapter into a file; returns what went wrong, or nothing."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
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


def timed(path: Path, target: Path) -> tuple[str, float]:
    """Execute one chapter; also returns the seconds it took."""
    began = time.perf_counter()
    return execute(path, target), time.perf_counter() - began


def main(arguments: list[str]) -> int:
    """Execute the named chapters, or all, and say how each went."""
    parser = argparse.ArgumentParser(description="execute chapters and store their outputs")
    parser.add_argument("chapters", nargs="*", type=Path, help="notebooks; without any, all")
    parser.add_argument("--into", type=Path, help="folder for executed copies; else in place")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.chapters] or chapters()
    targets = paths
    if options.into:
        shutil.rmtree(options.into, ignore_errors=True)
        targets = [options.into / path.relative_to(ROOT) for path in paths]
    failed = 0
    with ProcessPoolExecutor(max_workers=min(os.cpu_count() or 1, 4)) as pool:
        for path, (problem, seconds) in zip(paths, pool.map(timed, paths, targets), strict=True):
            print(f"{path.name}: {problem or 'executed'} ({seconds:.0f} s)", flush=True)
            failed += bool(problem)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
