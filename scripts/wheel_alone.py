"""Run every chapter with what is installed alone: each copied by itself into an empty folder.

That is what Colab does. Run it with the Python of an environment that holds the wheel (and
nbclient and ipykernel to run notebooks with): ``ENVIRONMENT/bin/python scripts/wheel_alone.py``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent


def run(path: Path, folder: str) -> None:
    """Execute a copy of one chapter in a folder that holds nothing else."""
    copied = Path(shutil.copy(path, folder))
    book = nbformat.read(copied, as_version=4)
    check = "import nnc; assert 'site-packages' in nnc.__file__, nnc.__file__"
    book.cells.append(nbformat.v4.new_code_cell(check))
    NotebookClient(book, timeout=180, resources={"metadata": {"path": folder}}).execute()


def main() -> None:
    """Run all, or those that are named."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "book").glob("*.ipynb"))
    for path in paths:
        with tempfile.TemporaryDirectory() as folder:
            run(path, folder)
        print(f"{path.stem}: runs with the installed package alone", flush=True)


if __name__ == "__main__":
    main()
