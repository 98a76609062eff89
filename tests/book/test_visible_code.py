"""What a reader sees first is text: how much of each chapter is code that is not folded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from notebooks import chapters, setup_cell
from test_notebooks import each_chapter, is_folded, of_type

TEXT_WIDTH, CODE_WIDTH = 75, 80
MOST_OF_THE_BOOK, MOST_OF_RESULTS = 0.25, 0.20
MOST_OF_A_CHAPTER = 0.37  # of the one that is a recipe to follow line by line
RESULTS = ("kd_results", "sws_results", "frontier", "distil_then_share")


def visible_code(path: Path) -> list[str]:
    """The lines of code that nobody has to unfold."""
    cells = [cell for cell in of_type(path, "code") if not is_folded(cell)]
    return [line for cell in cells for line in cell.source.splitlines()]


def text_lines(path: Path) -> int:
    """Lines of text at the width of the page."""
    lines = [line for cell in of_type(path, "markdown") for line in cell.source.splitlines()]
    return sum(len(line) // TEXT_WIDTH + 1 for line in lines if line.strip())


def share(paths: list[Path]) -> float:
    """How much of what is seen is code."""
    code = sum(len(visible_code(path)) for path in paths)
    return code / (code + sum(text_lines(path) for path in paths))


def test_at_most_a_quarter_of_the_book_is_code() -> None:
    assert share(chapters()) <= MOST_OF_THE_BOOK


@each_chapter
def test_a_chapter_is_told_in_words(path: Path) -> None:
    assert share([path]) <= (MOST_OF_RESULTS if path.stem in RESULTS else MOST_OF_A_CHAPTER)


@each_chapter
def test_visible_code_fits_the_page(path: Path) -> None:
    assert [line for line in visible_code(path) if len(line) > CODE_WIDTH] == []


@each_chapter
def test_the_setup_is_folded(path: Path) -> None:
    assert is_folded(of_type(path, "code")[0])


# Colab as far as the first cell sees it: no nnc_book, and a pip that notes what it is asked for.
PIP = """
import pathlib, sys
log = pathlib.Path(__file__).with_name("asked")
log.write_text(log.read_text() + " ".join(sys.argv[1:]) + "\\n")
if "==" in sys.argv[-1] and not RELEASED:
    sys.exit("ERROR: No matching distribution found")
names = "check = plots = published = records = 0"
for package in ("nnc", "nnc_book"):
    log.with_name(package).mkdir()
    log.with_name(package).joinpath("__init__.py").write_text(names)
log.with_name("nnc_book").joinpath("lessons.py").write_text("def setup(): print('ready')")
"""


@pytest.mark.parametrize("released", [True, False])
def test_the_setup_installs_the_release_or_else_the_repository(
    tmp_path: Path, released: bool
) -> None:
    (tmp_path / "asked").write_text("")
    (tmp_path / "pip.py").write_text(PIP.replace("RELEASED", str(released)))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "pip").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')
    (tmp_path / "bin" / "pip").chmod(0o755)
    (tmp_path / "torch.py").write_text("")
    # A module that is not there, even where this checkout is installed; a package goes before it.
    (tmp_path / "nnc_book.py").write_text("raise ModuleNotFoundError")
    (tmp_path / "cell.ipy").write_text(setup_cell("0123abc"))
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "cell.ipy"],
        cwd=tmp_path,
        env={
            "PYTHONPATH": str(tmp_path),
            "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin",
            "IPYTHONDIR": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ready" in done.stdout, done.stdout + done.stderr
    assert "ERROR" not in done.stdout + done.stderr
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[0].startswith("install -q nnc-book==")
    repository = "install -q git+https://github.com/nnc-book/nnc@0123abc"
    assert asked[1:] == ([] if released else [repository])
