"""The first page: a network that is there whole and answers, and the book in five pictures.

Everything is made from the records when the book is built: the code, the figure that moves, the
sentence below it and the pictures. ``back_matter`` puts the parts where the page asks for them.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from nnc.data import load
from nnc.storage.qr import qr_code
from nnc_book import plots, published, records
from nnc_book.plots.page import STILL_CSS, svg
from nnc_book.plots.style import BOX_CSS
from nnc_book.widgets import Digit

RECIPE = "lenet5-kd-sws"
FENCE = "`" * 9
NAME = "The network"


def raw(html: str) -> str:
    """HTML as a block of a page."""
    return f"{FENCE}{{raw}} html\n{html}\n{FENCE}\n"


def smallest() -> dict[str, Any]:
    """The run whose file is the smallest of all that are recorded under a teacher."""
    runs: list[dict[str, Any]] = records.read(RECIPE)["runs"]
    return min(runs, key=lambda one: one["metrics"]["file_bytes"])


def answering() -> Digit:
    """The field to draw in, with the network's own file and a digit of each class."""
    digits = load("mnist-5k").test
    each = [int((digits.labels == digit).nonzero()[0]) for digit in range(10)]
    data = (records.FOLDER / smallest()["file"]).read_bytes()
    return Digit({NAME: data}, digits.images[each, 0], labels=list(range(10)))


def first(root: Path) -> str:
    """The network as a code, and beside it the same bytes at work."""
    run, figure = smallest(), answering()
    metrics = run["metrics"]
    data = (records.FOLDER / run["file"]).read_bytes()
    code = plots.png(plots.modules(qr_code(data).matrix))
    state = {name: value for name, value in figure.get_state().items() if name[0] != "_"}
    for name in ("layout", "tabbable", "tooltip"):
        state.pop(name, None)
    state |= {"_esm": str(figure._esm), "_css": str(figure._css)}
    stored = {"version_major": 2, "version_minor": 0, "state": {"first": {"state": state}}}
    text = json.dumps(stored).replace("</", "<\\/")
    share, images = 100 * metrics["test_accuracy"], records.read(RECIPE)["dataset"]["test"]
    return raw(
        '<div class="nnc-first"><figure>'
        f'<img src="data:image/png;base64,{code}" alt="A QR code: a square of small black and '
        'white modules, which are the bytes of a network">'
        f"<figcaption>This is a neural network: all {len(data):,} bytes of it. "
        "Draw a digit, and it answers.</figcaption></figure>"
        '<div class="widget-figure"><script type="application/vnd.jupyter.widget-view+json">'
        '{"model_id": "first", "version_major": 2, "version_minor": 0}</script>'
        f'<div class="widget-fallback"><img src="data:image/png;base64,{plots.png(figure.still())}"'
        ' alt="A digit, and the probabilities that the network gives to the ten classes"></div>'
        "</div></div>"
        f'<script type="application/vnd.jupyter.widget-state+json">{text}</script>'
        '<script src="../_static/widget-host.js" defer></script>'
        f'<p class="nnc-number"><strong>{share:.1f}&#8239;%</strong> of the {images:,} test '
        "digits, none of which it had ever seen, it reads right; as plain numbers the same "
        "network takes "
        f"{metrics['compression_ratio'] * len(data):,.0f} bytes.</p>"
    )


def without_legend(figure: Figure) -> Figure:
    """A figure that is small, and named by the words below it."""
    legend = figure.axes[0].get_legend()
    if legend is not None:
        legend.remove()
    return figure


def drawn() -> list[tuple[str, Figure, str, str]]:
    """The five pictures: the page that each leads to, the figure, what it shows, what it says."""
    film = records.arrays("lenet300-sws", "film")
    shared = records.network("lenet300-sws")
    answers = records.arrays("vgg13", "answers")
    soft = torch.softmax(torch.tensor(answers["logits"]).float() / 4, dim=1)
    labels = torch.tensor(answers["labels"]).long()
    alike = torch.stack([100 * soft[labels == one].mean(dim=0) for one in range(10)])
    students = {
        name: [run["history"]["train"] for run in records.read(recipe)["runs"]]
        for name, recipe in (("labels", "mini-vgg"), ("teacher", "mini-vgg-kd"))
    }
    dense = 4 * 266_610
    series: list[dict[str, Any]] = [
        {
            "x": [dense / one.ratio for one in published.results("lenet300")],
            "y": [one.error for one in published.results("lenet300")],
            "kind": "published",
            "marker": "x",
            "label": "published",
        }
    ]
    for recipe, role in (("lenet300-sws", "student"), ("lenet300-kd-sws", "components")):
        errors = [100 * (1 - value) for value in records.values(recipe, "test_accuracy")]
        sizes = records.values(recipe, "file_bytes")
        series.append({"x": sizes, "y": errors, "kind": "record", "label": recipe, "role": role})
    return [
        (
            "dark_knowledge",
            plots.similarity(alike, [""] * 10, ""),
            "A ten by ten matrix, darkest where cat meets dog and automobile meets truck",
            "Nobody told it that cats are like dogs. A network's doubt knows.",
        ),
        (
            "kd_results",
            without_legend(plots.histories(students, "validation_accuracy", "")),
            "Accuracy over epochs: the curves of the taught students lie above the others",
            "The same small network, with a teacher and without.",
        ),
        (
            "cluster",
            plots.joint(film["joint"][-1]),
            "Weights before and after: a line at zero and a few bands above and below it",
            "A prior with humps pulls the weights into a few clusters, most of them to zero.",
        ),
        (
            "sws_results",
            plots.pixels((shared.codes["fc1.weight"] != 0).sum(dim=0), ""),
            "The pixels that a network still looks at: a round patch in the middle of the square",
            "Nobody told it where digits are, either. These pixels it still looks at.",
        ),
        (
            "frontier",
            without_legend(plots.points(series, "", "")),
            "Error against bytes: our networks lie to the left of the published ones",
            "Error against bytes, beside what others have published.",
        ),
    ]


def pictures(root: Path) -> str:
    """The five pictures, each a link, and the way to the first chapter."""
    cards = "".join(
        f'<a class="nnc-figure nnc-still" href="{page}.html">{svg(figure, alt)}'
        f"<span>{escape(words)}</span></a>"
        for page, figure, alt, words in drawn()
    )
    start = '<a class="nnc-figure nnc-start" href="why_compress.html"><span>Begin here</span></a>'
    style = f"<style>{BOX_CSS}{STILL_CSS}</style>"
    return raw(f'{style}<div class="nnc-cards">{cards}{start}</div>')
