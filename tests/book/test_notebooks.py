"""The chapters as they are stored: short, executed, computed rather than typed, told with alt text.

nbval executes them (`make chapters`); this reads them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebooks import FOLDED, ROOT, chapters, documents, setup_cell

from nnc_book import widgets

# The parts that every chapter has, as second-level headings, in this order.
HEADINGS = [
    "What you will be able to do",
    "What goes wrong",
    "Summary",
    "Exercises",
]
MOST_CELLS = 30
MOST_LINES, MOST_FOLDED_LINES = 15, 40
# The setup and the place for answers are alike in all chapters and not counted as told.
SAME_EVERYWHERE = re.compile(r"^# In Colab this installs|^check\.answers\(", re.MULTILINE)

# Measured numbers: a share, a size, a ratio, an accuracy. They are computed or read from a record.
TYPED = re.compile(
    r"""\d\s*(?:%|\\%|per\s?cent\b)      # 97.4 %
      | \b0\.\d{3,}\b                     # 0.974
      | \b\d[\d,.]*\s*(?:×(?!\s*\d)|-fold\b)  # 64.2×, not 28×28
      | \b\d[\d,.]*\s*(?:bytes|[kKM]i?B)\b  # 16,604 bytes
    """,
    re.VERBOSE,
)
# Formulas and code are definitions and settings, not measurements.
NOT_PROSE = re.compile(r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)", re.DOTALL)
ALLOWED = "typed-ok"

ELSEWHERE = re.compile(
    r"/(?:work|home|tmp|root|Users)/|py(?:pi|thonhosted)\.org|npmjs?\.(?:org|com)"
)
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"

each_chapter = pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
each_page = pytest.mark.parametrize(
    "path",
    [path for name in documents() if (path := ROOT / f"{name}.md").exists()],
    ids=lambda path: path.stem,
)


def read(path: Path) -> Any:
    """One chapter."""
    return nbformat.read(path, as_version=4)


def of_type(path: Path, kind: str) -> list[Any]:
    """The cells of one type that hold anything."""
    return [cell for cell in read(path).cells if cell.cell_type == kind and cell.source.strip()]


def is_folded(cell: Any) -> bool:
    """Whether the page shows a cell's output alone, or nothing until asked."""
    return bool(set(cell.metadata.get("tags", [])) & set(FOLDED))


def outputs(path: Path) -> Iterator[tuple[Any, Any]]:
    """Every output, with its cell."""
    for cell in of_type(path, "code"):
        for output in cell.outputs:
            yield cell, output


def typed_numbers(text: str) -> list[str]:
    """What looks like a measured number in prose."""
    return [match.group() for match in TYPED.finditer(NOT_PROSE.sub(" ", text))]


def test_every_notebook_is_in_the_table_of_contents() -> None:
    stored = {
        path for path in (ROOT / "book").rglob("*.ipynb") if ".ipynb_checkpoints" not in str(path)
    }
    assert stored == set(chapters())


@each_chapter
def test_a_chapter_is_short(path: Path) -> None:
    told = [cell for cell in read(path).cells if not SAME_EVERYWHERE.search(cell.source)]
    assert len(told) <= MOST_CELLS
    for cell in of_type(path, "code"):
        most = MOST_FOLDED_LINES if is_folded(cell) else MOST_LINES
        assert len(cell.source.strip().splitlines()) <= most, cell.source


@each_chapter
def test_a_chapter_is_valid_and_runs_on_the_plain_kernel(path: Path) -> None:
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"


@each_chapter
def test_a_chapter_follows_the_template(path: Path) -> None:
    text = "\n".join(cell.source for cell in of_type(path, "markdown"))
    assert re.findall(r"^# .+", text, re.MULTILINE), "the title is missing"
    assert text.startswith("# "), "the chapter begins with its title"
    found = re.findall(r"^## (.+)", text, re.MULTILINE)
    places = [
        next((place for place, heading in enumerate(found) if heading.startswith(name)), None)
        for name in HEADINGS
    ]
    missing = [name for name, place in zip(HEADINGS, places, strict=True) if place is None]
    assert missing == []
    assert places == sorted(places), "the parts come in another order than the template's"


@each_chapter
def test_the_setup_cell_is_the_same_in_every_chapter(path: Path) -> None:
    assert of_type(path, "code")[0].source == setup_cell(), "run scripts/notebooks.py --setup-only"


@each_chapter
def test_what_is_folded_in_the_page_is_folded_in_jupyter_and_colab(path: Path) -> None:
    for cell in of_type(path, "code"):
        in_colab = cell.metadata.get("cellView") == "form"
        in_jupyter = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        assert in_colab == in_jupyter == is_folded(cell), "run scripts/notebooks.py --setup-only"


@each_chapter
def test_every_code_cell_was_executed_in_order_and_without_error(path: Path) -> None:
    counts = [cell.execution_count for cell in of_type(path, "code")]
    assert counts == list(range(1, len(counts) + 1)), "store the outputs: make notebooks"
    faulty = [
        output
        for _, output in outputs(path)
        if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert faulty == []


@each_chapter
def test_nothing_of_the_machine_that_ran_it_is_stored(path: Path) -> None:
    notebook = read(path)
    assert set(notebook.metadata.language_info) == {"name"}, "store the outputs: make notebooks"
    for cell in notebook.cells:
        assert "execution" not in cell.metadata
        found = ELSEWHERE.findall(cell.source + json.dumps(textual(cell)))
        assert found == [], cell.source


def textual(cell: Any) -> list[Any]:
    """A cell's outputs less their pictures, whose encoding may spell anything."""
    kept = []
    for output in cell.get("outputs", []):
        data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
        kept.append({**output, "data": data})
    return kept


@each_chapter
def test_measured_numbers_of_a_chapter_are_computed(path: Path) -> None:
    for cell in of_type(path, "markdown"):
        if ALLOWED not in cell.metadata.get("tags", []):
            assert typed_numbers(cell.source) == [], cell.source


@each_page
def test_measured_numbers_of_a_page_are_read_from_records(path: Path) -> None:
    """A block that begins with the comment ``% typed-ok`` is let through."""
    for block in re.split(r"\n\s*\n", path.read_text(encoding="utf-8")):
        if not block.lstrip().startswith(f"% {ALLOWED}"):
            assert typed_numbers(block) == [], block


@each_chapter
def test_live_students_have_live_teachers_and_recorded_networks_are_not_scored_here(
    path: Path,
) -> None:
    """The embedded images are training images of MNIST: recorded networks have learnt them."""
    for cell in of_type(path, "code"):
        assert "training_answers" not in cell.source, cell.source
        assert not ("records.network" in cell.source and "lessons.data" in cell.source)


@each_chapter
def test_every_picture_of_a_chapter_says_what_it_shows(path: Path) -> None:
    for cell, output in outputs(path):
        if any(kind.startswith("image/") for kind in output.get("data", {})):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert alt.strip(), f"give the cell metadata mystnb.image.alt: {cell.source}"


@each_chapter
def test_the_state_of_every_interactive_figure_is_stored(path: Path) -> None:
    views = [output.data[VIEW] for _, output in outputs(path) if VIEW in output.get("data", {})]
    state = read(path).metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    assert [view for view in views if view["model_id"] not in state] == []


@each_chapter
def test_stored_figures_are_the_ones_of_the_package(path: Path) -> None:
    # Outputs are compared when chapters run, but not the state of what can be moved.
    state = read(path).metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    stored = [one["state"] for one in state.values() if "_anywidget_id" in one["state"]]
    for one in stored:
        figure = getattr(widgets, one["_anywidget_id"].rpartition(".")[2])
        assert one["_esm"] == str(figure._esm), "store the outputs anew: make notebooks"
        assert one["_css"] == str(figure._css), "store the outputs anew: make notebooks"


@each_chapter
def test_every_interactive_figure_has_a_caption(path: Path) -> None:
    for cell in of_type(path, "code"):
        found = [output.get("data", {}) for output in cell.get("outputs", [])]
        moving = sum(VIEW in data for data in found)
        assert sum("<figcaption>" in data.get("text/html", "") for data in found) >= moving


@pytest.mark.parametrize(
    "text",
    [
        "97.4 % of them",
        r"98\,% or 98\%",
        "an accuracy of 0.974",
        "64.2× smaller",
        "16,604 bytes",
        "5 per cent",
        "a 12-fold gain",
        "8.56 kB",
    ],
)
def test_a_typed_number_is_found(text: str) -> None:
    assert typed_numbers(text) != []


@pytest.mark.parametrize(
    "text",
    [r"with $\pi_0 = 0.999$ and `tau=0.0044`", "chapter 6, 17 components, 28×28 images",
     "4,000 images, three seeds", "a width of 0.25", "$$0.5 \\%$$"],
)  # fmt: skip
def test_a_setting_is_no_measured_number(text: str) -> None:
    assert typed_numbers(text) == []
