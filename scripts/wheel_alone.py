"""Run every chapter with what is installed alone: each copied by itself into an empty folder.

That is what Colab does. Run it with the Python of an environment that holds the wheel (and
nbclient and ipykernel to run notebooks with): ``ENVIRONMENT/bin/python scripts/wheel_alone.py``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from notebooks import chapters, execute


def run(path: Path, folder: str) -> str:
    """Execute a copy of one chapter in a folder that holds nothing else; says what went wrong."""
    copied = Path(folder, path.name)
    book = nbformat.read(path, as_version=4)
    check = """import nnc, nnc_book
for package in (nnc, nnc_book):
    assert 'site-packages' in package.__file__, package.__file__"""
    book.cells.append(nbformat.v4.new_code_cell(check))
    nbformat.write(book, copied)
    return execute(copied, copied)


def main() -> None:
    """Run all, or those that are named."""
    for path in [Path(name) for name in sys.argv[1:]] or chapters():
        with tempfile.TemporaryDirectory() as folder:
            if problem := run(path, folder):
                raise SystemExit(f"{path.stem}: {problem}")
        print(f"{path.stem}: runs with the installed package alone", flush=True)


if __name__ == "__main__":
    main()
