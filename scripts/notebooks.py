"""Execute chapters in place and store their outputs (`make notebooks`).

``python scripts/notebooks.py [book/NAME.ipynb ...]``; without names, every chapter of _toc.yml.
What differs from run to run without meaning anything is left out: times of execution, the
interpreter's version, random widget ids, memory addresses. So a second run changes nothing,
and a change in a notebook's diff is a change in the chapter.
"""

from __future__ import annotations

import json
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
VOLATILE = ("execution", "ExecuteTime", "collapsed", "scrolled")
STATE = "application/vnd.jupyter.widget-state+json"
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


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


def execute(path: Path) -> str:
    """Execute one chapter and store it; returns what went wrong, or nothing."""
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
    except CellExecutionError as error:
        return str(error)
    partial = path.with_suffix(".tmp")
    nbformat.write(tidy(notebook), partial)
    os.replace(partial, path)
    return ""


def main(names: list[str]) -> int:
    """Execute the named chapters, or all; two at a time."""
    paths = [Path(name).resolve() for name in names] or chapters()
    failed = 0
    with ProcessPoolExecutor(max_workers=2) as pool:
        for path, problem in zip(paths, pool.map(execute, paths), strict=True):
            print(f"{path.name}: {problem or 'done'}", flush=True)
            failed += bool(problem)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
