"""Pages that are written from the chapters and the records when the book is built.

A page says where with a comment of its own line, ``% generated: NAME``; the names are the keys of
``WRITERS``. Besides, the exercises of the paths for teachers become notebooks without solutions
(``downloads/``), and a page says what to do where an address leads nowhere (``404.html``).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from html import unescape
from pathlib import Path
from statistics import fmean
from typing import Any

import landing
import nbformat
import yaml
from book_pages import VIEW, executed
from docutils.nodes import make_id
from sphinx.application import Sphinx

from nnc_book import records

MARKER = re.compile(r"^% generated: (\w+)$", re.MULTILINE)
CAPTION = re.compile(r'class="badge-\w+">(\w+)</span>\s*(.*?)</figcaption>', re.DOTALL)
HEADING = re.compile(r"^#{1,3} (.+)$", re.MULTILINE)
# Three ways through the book, of 90 minutes each; the page "For teachers" tells them.
PATHS = {
    "distillation": ("dark_knowledge", "teaching", "kd_results"),
    "soft-weight-sharing": ("mixture_prior", "cluster", "prune_quantise"),
    "bytes-on-disk": ("why_compress", "storing", "sws_results"),
}


@cache  # the index of figures and the downloads both read all of them
def chapters(root: Path) -> dict[str, Any]:
    """Name → notebook of every chapter in reading order, executed copies where they are given."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    names = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return {
        Path(name).name: nbformat.read(executed(root, name), as_version=4)
        for name in names
        if (root / f"{name}.ipynb").exists()
    }


def title_of(notebook: Any) -> str:
    """The first heading."""
    return HEADING.findall(notebook.cells[0].source)[0]


def shown_in(notebook: Any) -> Iterator[tuple[str, str, str]]:
    """Kind, caption and nearest heading above of all that a chapter shows."""
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            heading = (HEADING.findall(cell.source) or [heading])[-1]
            continue
        moving = ""
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if VIEW in data:  # its caption comes next
                moving = f"interactive: {data.get('text/plain', '').partition('(')[0]}"
            html = data.get("text/html", "")
            for badge, words in CAPTION.findall(html):
                kind = "film" if "data-film" in html else "table" if "<table" in html else "figure"
                yield f"{moving or kind}, {badge}", unescape(words).strip(), heading


def figures(root: Path) -> str:
    """All figures and tables: first what moves, then chapter by chapter."""
    rows = [
        (kind, f'<a href="{name}.html#{make_id(heading)}">{title_of(notebook)}</a>', words)
        for name, notebook in chapters(root).items()
        for kind, words, heading in shown_in(notebook)
    ]
    moving = [row for row in rows if row[0].startswith(("interactive", "film"))]
    standing = [row for row in rows if row not in moving]
    head = "| what | where | what it shows |\n|---|---|---|\n"
    tables = [
        head + "\n".join(f"| {kind} | {link} | {cell(words)} |" for kind, link, words in some)
        for some in (moving, standing)
    ]
    return f"## What moves\n\n{tables[0]}\n\n## Figures and tables\n\n{tables[1]}\n"


def cell(words: str) -> str:
    """A caption, shortened where it is long, safe in a table."""
    short = words if len(words) < 220 else words[:200].rsplit(" ", 1)[0] + " …"
    return short.replace("|", "\\|")


def recipes(root: Path) -> str:
    """Every record: data, seeds, minutes, versions and commit."""
    lines = [
        "| recipe | data set | seeds | minutes a run | torch | commit |",
        "|---|---|---|---|---|---|",
    ]
    for name in records.names():
        record = records.read(name)
        where, runs = record["environment"], record["runs"]
        minutes = fmean(run["seconds"] for run in runs) / 60
        seeds = ", ".join(str(run["seed"]) for run in runs)
        lines.append(
            f"| `{name}` | {record['dataset']['name']} | {seeds} | {minutes:.0f} "
            f"| {where['torch']} | `{str(where.get('commit') or 'not known')[:7]}` |"
        )
    return "\n".join(lines) + "\n"


def commit(root: Path) -> str:
    """The commit that the pages are built from, where git says it."""
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    found = asked.stdout.strip() if asked.returncode == 0 else ""
    return f"These pages were built from commit `{found or 'not known'}`.\n"


def downloads(root: Path) -> str:
    """Links to the notebooks of exercises."""
    links = [f'<a href="../downloads/{name}.ipynb" download>{name}.ipynb</a>' for name in PATHS]
    return "Questions only, one notebook a path: " + ", ".join(links) + ".\n"


WRITERS: dict[str, Callable[[Path], str]] = {
    "figures": figures,
    "recipes": recipes,
    "commit": commit,
    "downloads": downloads,
    "first": landing.first,
    "pictures": landing.pictures,
}


def write_generated(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put what is generated in the place of its marker."""
    root = Path(app.srcdir)
    source[0] = MARKER.sub(lambda match: WRITERS[match[1]](root), source[0])


def exercises(notebook: Any) -> list[Any]:
    """The questions of a chapter, each with an empty cell to answer in."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    part = text.partition("## Exercises")[2].partition("\n## ")[0]
    found = re.findall(r"\*\*\d+\.\*\*.*?(?=\n\*\*\d+\.\*\*|\Z)", part, re.DOTALL)
    cells = []
    for question in found:
        words = question.partition("\nNext: ")[0].strip()
        cells += [nbformat.v4.new_markdown_cell(words), nbformat.v4.new_code_cell("")]
    return cells


def write_downloads(app: Sphinx, error: Exception | None) -> None:
    """Write the notebooks of exercises and the page for addresses that lead nowhere."""
    if error or app.builder.name != "html":
        return
    root, out = Path(app.srcdir), Path(app.outdir)
    found = chapters(root)
    (out / "downloads").mkdir(exist_ok=True)
    for path, names in PATHS.items():
        cells = [nbformat.v4.new_markdown_cell(f"# Exercises: {path.replace('-', ' ')}")]
        setup = next(c for c in found[names[0]].cells if c.cell_type == "code")
        cells.append(nbformat.v4.new_code_cell(setup.source))
        for name in names:
            cells.append(nbformat.v4.new_markdown_cell(f"## {title_of(found[name])}"))
            cells += exercises(found[name])
        for number, one in enumerate(cells):
            one["id"] = f"cell-{number}"
        book = nbformat.v4.new_notebook(cells=cells)
        nbformat.write(book, out / "downloads" / f"{path}.ipynb")
    (out / "404.html").write_text(NOWHERE.replace("TITLE", app.config.html_title), "utf-8")


# A server shows it for any address, so it loads nothing and finds the start by going up.
NOWHERE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Not here: TITLE</title>
<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
<style>body{max-width:34em;margin:12vh auto;padding:0 1em;font:1.1em/1.5 system-ui,sans-serif}
@media (prefers-color-scheme:dark){body{color:#e8ecef;background:#14181c}a{color:#8cc8f2}}</style>
</head><body><main><h1>There is no such page</h1>
<p>The address may be old, or mistyped. Everything in this book can be reached from
<a id="start" href="index.html">its first page</a>.</p></main>
<script>
const parts = location.pathname.split("/book/");
if (parts.length > 1) document.getElementById("start").href = `${parts[0]}/book/index.html`;
</script></body></html>
"""


def skip_fields(
    app: Sphinx, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the fields of named tuples: the class's own text says what they are."""
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", write_generated, priority=600)  # after executed copies are taken
    app.connect("build-finished", write_downloads)
    app.connect("autodoc-skip-member", skip_fields)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
