"""The role ``{record}``: a number of a recorded run, read when the page is built.

``{record}`lenet300-sws:test_accuracy``` reads lenet300-sws.json among the book's records. What
follows the colon is a key of the runs' ``metrics`` (the mean over the runs is written), ``runs``
(how many there are), ``seconds`` (mean), or a dotted path from the top of the file such as
``dataset.train`` or ``settings.tau``. A format may follow after ``|``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

LOGGER = logging.getLogger(__name__)
NARROW_SPACE = "\u202f"

FORMATS: dict[str, Callable[[Any], str]] = {
    "percent": lambda value: f"{100 * value:.1f}{NARROW_SPACE}%",
    "percent2": lambda value: f"{100 * value:.2f}{NARROW_SPACE}%",
    "bytes": lambda value: f"{value:,.0f} bytes",
    "ratio": lambda value: f"{value:.1f}×",
    "count": lambda value: f"{value:,.0f}",
    "minutes": lambda value: f"{value / 60:.0f} minutes",
    "plain": lambda value: f"{value:.4g}" if isinstance(value, float) else str(value),
}


def lookup(record: dict[str, Any], key: str) -> Any:
    """The value that a key names. KeyError where there is none."""
    runs = record["runs"]
    if key == "runs":
        return len(runs)
    if key == "seconds":
        return fmean(run["seconds"] for run in runs)
    if key in runs[0]["metrics"]:
        return fmean(run["metrics"][key] for run in runs)
    value: Any = record
    for part in key.split("."):
        value = value[part]
    return value


def usual_format(key: str) -> str:
    """The format of a key when none is given."""
    if key.endswith("accuracy") or key.startswith("sparsity"):
        return "percent"
    endings = {"_bytes": "bytes", "_ratio": "ratio", "seconds": "minutes", "runs": "count"}
    return next((form for ending, form in endings.items() if key.endswith(ending)), "plain")


def written(folder: Path, text: str) -> str:
    """The number that ``recipe:key`` or ``recipe:key|format`` stands for, as text.

    Raises:
        ValueError: the recipe has no record, the record no such key, or the format is unknown.
    """
    address, _, form = text.partition("|")
    recipe, _, key = address.strip().partition(":")
    form = form.strip() or usual_format(key)
    path = folder / f"{recipe}.json"
    if not path.is_file():
        raise ValueError(f"record {text!r}: there is no book/nnc_book/records/{recipe}.json")
    if form not in FORMATS:
        raise ValueError(f"record {text!r}: format {form!r} is not one of {', '.join(FORMATS)}")
    try:
        value = lookup(json.loads(path.read_text(encoding="utf-8")), key)
        return FORMATS[form](value)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"record {text!r}: no number {key!r} in {path.name}") from error


class RecordRole(SphinxRole):
    """Replaces itself by the number; an unknown one is a warning, so it fails a strict build."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Read the record and write its number."""
        folder = Path(self.env.srcdir) / "book" / "nnc_book" / "records"
        for path in folder.glob("*.json"):
            self.env.note_dependency(str(path))
        try:
            return [nodes.Text(written(folder, self.text))], []
        except ValueError as error:
            LOGGER.warning("%s", error, location=self.get_location())
            return [nodes.problematic(self.rawtext, self.rawtext)], []
