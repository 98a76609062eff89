"""What the book needs of Sphinx beyond Jupyter Book: a few small things, each by itself.

- ``NNC_EXECUTED=FOLDER`` in the environment takes the chapters from there (`make book`).
- ``{record}`` writes a number of a recorded run into a page without a kernel.
- A folded cell says what is in it, and stands below what it shows.
- An interactive figure keeps its static picture until JavaScript has drawn it.
- Every page says in its head what it is about, and has a picture for where it is linked.
- What figures say about themselves is found by the page's search.
- Tables know the headings of their cells, so that they can stand as rows on a phone.
- Lists of citations are read aloud as what they are.
"""

from __future__ import annotations

import os
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from records_role import RecordRole
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

VIEW = "application/vnd.jupyter.widget-view+json"
WORD = re.compile(r"[^\W\d_]{3,}")
TABLE = re.compile(r'<table class="table">.*?</table>', re.DOTALL)
UNNAMED = "Show code cell"  # how MyST-NB begins the name of a fold that was given none
ROLES = {"table": "table", "thead": "rowgroup", "tbody": "rowgroup", "tr": "row"}
NO_SCRIPT = "<noscript><p>This figure is interactive and needs JavaScript.</p></noscript>"


def executed(root: Path, docname: str) -> Path:
    """Where a chapter is read from: an executed copy, where the environment names their folder."""
    return Path(os.environ.get("NNC_EXECUTED", root), f"{docname}.ipynb")


def take_executed_copy(app: Sphinx, docname: str, source: list[str]) -> None:
    """Read a chapter from the folder of executed copies, where the environment names one."""
    if "NNC_EXECUTED" in os.environ and app.env.doc2path(docname).endswith(".ipynb"):
        source[0] = executed(Path(app.srcdir), docname).read_text(encoding="utf-8")


class KeepStaticPicture(SphinxPostTransform):
    """Put the picture that a widget's output also holds beside the widget's view.

    myst-nb would choose the view and drop the rest. book/_static/widget-host.js takes the picture
    away once the figure stands; without JavaScript, and in print, the picture remains.
    """

    default_priority = 3  # before myst-nb's SelectMimeType, which has 4
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Rewrite every output that holds a widget's view."""
        for bundle in list(self.document.findall(nodes.container)):
            outputs = {
                part.get("mime_type"): part
                for part in bundle.children
                if isinstance(part, nodes.container)
            }
            if bundle.get("nb_element") == "mime_bundle" and VIEW in outputs:
                bundle.replace_self(self.figure(outputs))

    def figure(self, outputs: dict[str, nodes.container]) -> nodes.container:
        """The view, and its picture or a line that says what is missing."""
        pictures = [part for kind, part in outputs.items() if kind.startswith("image/")]
        fallback: list[nodes.Node] = [nodes.raw("", NO_SCRIPT, format="html")]
        if pictures:
            fallback = pictures[0].children
        return nodes.container(
            "",
            *outputs[VIEW].children,
            nodes.container("", *fallback, classes=["widget-fallback"]),
            classes=["widget-figure"],
        )


class NameFolds(SphinxPostTransform):
    """Say on every fold what it holds: the set-up, a solution, or a figure's code.

    A cell with ``{"mystnb": {"code_prompt_show": "..."}}`` in its metadata has that name.
    """

    default_priority = 198  # before myst-nb's HideInputCells, which has 199
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Name the folds of a page; the first cell of a chapter is its set-up."""
        cells = [
            one
            for one in self.document.findall(nodes.container)
            if one.get("nb_element") == "cell_code"
        ]
        for cell in cells:
            if not cell.get("prompt_show", UNNAMED).startswith(UNNAMED):
                continue  # its metadata say a name of its own
            if cell.get("hide_mode") == "all":
                names = ("Solution", "Solution")
            elif cell is cells[0]:
                names = ("Set-up: imports, and what installs them in Colab",) * 2
            else:
                names = ("Show code", "Hide code")
            cell["prompt_show"], cell["prompt_hide"] = names


class PutFoldsBelow(SphinxPostTransform):
    """Put a figure's folded code below the figure: readers come for the figure."""

    default_priority = 200  # after HideInputCells
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Swap the two in every cell of which only the code is folded."""
        for cell in self.document.findall(nodes.container):
            if cell.get("hide_mode") == "input" and len(cell.children) == 2:
                cell.children.reverse()


def described(doctree: nodes.document) -> str:
    """The first paragraph of a page that says something, shortened."""
    words = ""
    for paragraph in doctree.findall(nodes.paragraph):
        words = re.sub(r"\s+", " ", paragraph.astext()).strip()
        if len(words) > 40:
            break
    return words if len(words) <= 160 else words[:157].rsplit(" ", 1)[0] + " …"


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say in a page's head what it is about, for search engines and link previews."""
    if doctree is None:
        return
    import social  # reads this module

    tags = context.get("metatags", "")
    own = re.search(r'<meta content="([^"]*)"[^>]* name="description"', tags)
    words = unescape(own[1]) if own else described(doctree)
    title = re.sub(r"<[^>]+>", "", context.get("title", ""))
    folder = Path(app.outdir, "_static", "social")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{page.rpartition('/')[2]}.png"
    figure = social.figure_of(Path(app.srcdir), page)
    (folder / name).write_bytes(
        social.picture(unescape(title), words, app.config.html_title, figure)
    )
    if not own:
        tags += f'\n<meta name="description" content="{escape(words)}" />'
    context["metatags"] = tags + (
        f'\n<meta property="og:title" content="{escape(title)}" />'
        f'\n<meta property="og:description" content="{escape(words)}" />'
        f'\n<meta property="og:image" content="{escape(home(app))}_static/social/{name}" />'
        f'\n<meta property="og:image:alt" content="{escape(title)}: {escape(words)}" />'
        '\n<meta name="twitter:card" content="summary_large_image" />'
    )


def home(app: Sphinx) -> str:
    """Where the repository's Pages stand: previews need a whole address, and no other part does."""
    *_, owner, name = str(app.config.html_theme_options["repository_url"]).rstrip("/").split("/")
    return f"https://{owner}.github.io/{name}/"


def mend_citations(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Take away docutils' role of a list, whose entries it gives another role than a list's."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def index_alternatives(app: Sphinx, doctree: nodes.document) -> None:
    """Let the search find a page by what its figures' alternative texts say."""
    words: set[str] = set()
    for image in doctree.findall(nodes.image):
        words.update(WORD.findall(image.get("alt", "").lower()))
    for one in doctree.findall(nodes.raw):
        for text in re.findall(r'aria-label="([^"]*)"', one.astext()):
            words.update(WORD.findall(unescape(text).lower()))
    if words:
        doctree.append(nodes.meta("", name="keywords", content=", ".join(sorted(words))))


def label_cells(match: re.Match[str]) -> str:
    """A table whose cells carry their column's heading; the style sheet shows it on a phone.

    Roles say what the parts are even where the style sheet makes blocks of them.
    """
    soup = BeautifulSoup(match[0], "html.parser")
    table = soup.table
    headings = [one.get_text(" ", strip=True) for one in table.select("thead th")]
    table["class"] = ["table", "nnc-stack"]
    for part in [table, *table.select("thead, tbody, tr")]:
        part["role"] = ROLES[part.name]
    for one in table.select("thead th"):
        one["role"] = "columnheader"
    for row in table.select("tbody tr"):
        for heading, one in zip(headings, row.find_all("td"), strict=False):
            one["role"] = "cell"
            if heading:
                one["data-label"] = heading
    return str(soup)


def stack_tables(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Label the cells of every table of a page."""
    if "body" in context:
        context["body"] = TABLE.sub(label_cells, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything above with Sphinx."""
    app.connect("source-read", take_executed_copy)
    app.connect("doctree-read", index_alternatives)
    app.connect("html-page-context", describe)
    app.connect("html-page-context", mend_citations)
    app.connect("html-page-context", stack_tables)
    app.add_post_transform(KeepStaticPicture)
    app.add_post_transform(NameFolds)
    app.add_post_transform(PutFoldsBelow)
    app.add_role("record", RecordRole())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
