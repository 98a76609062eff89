"""What a chapter shows: pictures and tables, each with a caption that says whose numbers it has."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from matplotlib.figure import Figure
from PIL import Image

Badge = Literal["LIVE", "RECORDED", "DRAWN"]

# ":where" weighs nothing, so that the book's own style sheet decides where there is one. The
# theme's light box around HTML in the dark is taken away: captions would be light on light.
_CSS = """<style>
:where(.nnc-shown){margin:1em 0}
.nnc-shown.nnc-shown figcaption{margin:.5em 0 0;color:inherit;text-align:left;
 font-family:inherit;font-weight:400}
:where(.nnc-shown th,.nnc-shown td){border-bottom:1px solid #8886;text-align:left;
 vertical-align:top}
.nnc-shown.nnc-shown :is(th,td){padding:.35em 1.2em .35em 0}
:where(.nnc-shown) .number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
:where(.badge-live,.badge-recorded,.badge-drawn){padding:1px 7px;border-radius:5px;
 font-size:.8em;font-weight:600;color:#fff}
:where(.badge-live){background:#0b6b4b}
:where(.badge-recorded){background:#0a5a8c}
:where(.badge-drawn){background:#5c6166}
.cell_output .text_html:has(.nnc-shown){padding:0!important;color:inherit!important;
 background:none!important}
</style>"""


def caption(text: str, badge: Badge) -> str:
    """The line below a figure or table as HTML: its badge and what it shows.

    Args:
        text: plain text: what is shown, on which data, whose result.
        badge: ``"LIVE"`` (made by this page), ``"RECORDED"`` (by a recipe, kept in a record) or
            ``"DRAWN"`` (a schematic, no data).

    Raises:
        ValueError: the badge is none of the three.
    """
    if badge not in get_args(Badge):
        raise ValueError(f"badge must be one of {', '.join(get_args(Badge))}, got {badge!r}")
    return (
        f'{_CSS}<figcaption><span class="badge-{badge.lower()}">{badge}</span> '
        f"{html.escape(text)}</figcaption>"
    )


def png(figure: Figure) -> str:
    """A figure as a PNG picture in base64; the same figure is the same text.

    In at most 255 colours, which the eye cannot tell from all of them in a chart, in a third of
    the bytes.
    """
    drawn, written = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    with Image.open(drawn) as picture:
        few = picture.convert("RGB").quantize(255, dither=Image.Dither.NONE)
    few.save(written, format="png", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


@dataclass(frozen=True)
class Caption:
    """The line below an interactive figure; shown by itself, right after the figure.

    Args:
        caption: what the figure shows, on which data, whose result.
        badge: live, recorded or drawn.
    """

    caption: str
    badge: Badge

    def _repr_html_(self) -> str:
        return f'<figure class="nnc-shown">{caption(self.caption, self.badge)}</figure>'


@dataclass(frozen=True)
class Picture:
    """A figure with its caption and its text for those who cannot see it.

    Args:
        figure: a matplotlib figure.
        caption: what it shows, on which data, whose result.
        badge: live, recorded or drawn.
        alt: what can be seen, in a sentence or two.
    """

    figure: Figure
    caption: str
    badge: Badge
    alt: str

    def _repr_html_(self) -> str:
        data = png(self.figure)
        width, height = (int(inches * self.figure.dpi) for inches in self.figure.get_size_inches())
        return (
            f'<figure class="nnc-shown"><img alt="{html.escape(self.alt)}" width="{width}" '
            f'height="{height}" style="width:100%;max-width:{int(width / 1.5)}px;height:auto;'
            f'border-radius:6px" src="data:image/png;base64,{data}">'
            f"{caption(self.caption, self.badge)}</figure>"
        )


@dataclass(frozen=True)
class Table:
    """A table of results with a caption; it scrolls sideways where it does not fit.

    Args:
        columns: headings.
        rows: cells as text or numbers; numbers are set as given, to the right.
        caption: what it shows, on which data, whose result.
        badge: live, recorded or drawn.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str
    badge: Badge

    def _repr_html_(self) -> str:
        kinds = [_kind(column) for column in zip(*self.rows, strict=True)]
        kinds = kinds or [""] * len(self.columns)
        head = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>'
            for name, kind in zip(self.columns, kinds, strict=True)
        )
        body = "".join(
            "<tr>"
            + "".join(_cell(*one) for one in zip(row, kinds, range(len(row)), strict=True))
            + "</tr>"
            for row in self.rows
        )
        return (
            f'<figure class="nnc-shown"><div role="region" tabindex="0" '
            f'aria-label="{html.escape(self.caption)}" style="overflow-x:auto">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            f"{caption(self.caption, self.badge)}</figure>"
        )


def _kind(column: Sequence[object]) -> str:
    """The class of a column that holds nothing but numbers, written as text or not."""
    cells = [str(value) for value in column if str(value) not in ("", "–")]
    numbers = [cell for cell in cells if cell.lstrip("+-−≈<>")[:1].isdigit()]
    return ' class="number"' if cells and len(numbers) == len(cells) else ""


def _cell(value: object, kind: str, place: int) -> str:
    text = html.escape(str(value))
    return f"<td{kind}>{text}</td>" if place else f'<th scope="row"{kind}>{text}</th>'
