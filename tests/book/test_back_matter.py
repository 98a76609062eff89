"""Pages that are written from code, chapters and records: complete, and nothing besides."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path

import back_matter
import nbformat
import pytest
import yaml
from notebooks import ROOT, chapters

from nnc_book import records, widgets

MODULES = (
    "nnc",
    "nnc.data",
    "nnc.storage",
    "nnc_book.records",
    "nnc_book.published",
    "nnc_book.lessons",
    "nnc_book.networks",
    "nnc_book.priors",
    "nnc_book.teaching",
    "nnc_book.controls",
    "nnc_book.calibration",
    "nnc_book.plots",
    "nnc_book.widgets",
)


def public(name: str) -> set[str]:
    """Public functions and classes of a module, by their full names."""
    module = importlib.import_module(name)
    names = getattr(module, "__all__", None) or [
        key for key, value in vars(module).items() if getattr(value, "__module__", "") == name
    ]
    documented = (inspect.isroutine, inspect.isclass, lambda one: hasattr(one, "__wrapped__"))
    return {
        f"{name}.{key}"
        for key in names
        if not key.startswith("_") and any(kind(getattr(module, key)) for kind in documented)
    }


@pytest.mark.site
@pytest.mark.parametrize("name", MODULES)
def test_the_reference_holds_every_public_name(site: Path, name: str) -> None:
    page = (site / "book" / "api.html").read_text(encoding="utf-8")
    found = set(re.findall(r'<dt class="[^"]*" id="([\w.]+)"', page))
    expected = public(name)
    assert expected <= found
    below = {one for one in found if one.rpartition(".")[0] == name} - expected
    module = importlib.import_module(name)
    assert not any(callable(getattr(module, one.rpartition(".")[2])) for one in below)


@pytest.mark.site
def test_every_marker_was_replaced(site: Path) -> None:
    sources = [path for path in (ROOT / "book").glob("*.md") if "% generated" in path.read_text()]
    assert len(sources) == 4
    for path in sources:
        page = (site / "book" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert "% generated" not in page


def test_the_index_names_every_figure_that_moves() -> None:
    text = back_matter.figures(ROOT)
    moving = text.partition("## Figures and tables")[0]
    for name in widgets.__all__:
        assert f"interactive: {name}" in moving
    assert "film, RECORDED" in moving
    shown = sum(
        1 for book in back_matter.chapters(ROOT).values() for _ in back_matter.shown_in(book)
    )
    assert text.count("<a href=") == shown > 60


def test_every_record_is_listed_with_its_seeds() -> None:
    text = back_matter.recipes(ROOT)
    for name in records.names():
        seeds = ", ".join(str(run["seed"]) for run in records.read(name)["runs"])
        assert re.search(rf"\| `{name}` \| [\w-]+ \| {seeds} \|", text)


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_the_exercises_of_a_chapter_are_found(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = back_matter.exercises(notebook)
    questions = [cell.source for cell in cells if cell.cell_type == "markdown"]
    assert len(questions) >= 2
    assert [int(question[2]) for question in questions] == list(range(1, len(questions) + 1))
    assert not any(cell.source for cell in cells if cell.cell_type == "code")


@pytest.mark.site
def test_the_downloads_are_notebooks_with_questions_alone(site: Path) -> None:
    for name in back_matter.PATHS:
        book = nbformat.read(site / "downloads" / f"{name}.ipynb", as_version=4)
        nbformat.validate(book)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        assert "nnc-book" in code[0].source
        assert not any(cell.source or cell.outputs for cell in code[1:])


@pytest.mark.site
def test_the_page_for_lost_readers_loads_nothing(site: Path) -> None:
    page = (site / "404.html").read_text(encoding="utf-8")
    assert "There is no such page" in page
    assert not re.findall(r'(?:src|href)="(?:http|\.)', page)


def workflows() -> list[Path]:
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_workflows_ask_for_what_there_is() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = ""
    for path in workflows():
        content = yaml.safe_load(path.read_text())
        assert content["jobs"]
        said += json.dumps(content["jobs"])
    assert set(re.findall(r"make ([a-z]+)", said)) == {"test", "book"} <= targets
    for script in re.findall(r"scripts/\w+\.py", said):
        assert (ROOT / script).exists()
    address = re.search(r'sed -i \\"s#(.*?)#', said)
    assert address
    assert len(re.findall(address[1], (ROOT / "_config.yml").read_text(), re.MULTILINE)) == 1
