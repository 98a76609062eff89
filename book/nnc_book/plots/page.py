"""What a chapter shows: pictures and tables, each with a caption that says whose numbers it has."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from nnc_book.plots.style import BOX_CSS, PALETTE, RAMP

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
:where(.nnc-shown) .number{text-align:right;font-variant-numeric:tabular-nums}
:where(.nnc-shown) td.number{white-space:nowrap}
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


STILL_CSS = f"""
.nnc-still svg{{display:block;width:100%;height:auto;user-select:text}}
.nnc-still svg *{{stroke-linejoin:round;stroke-linecap:butt}}
.nnc-still image{{image-rendering:pixelated}}
.nnc-still :is(image.{RAMP},.{RAMP} image){{filter:var(--turn)}}
"""


def svg(figure: Figure, alt: str) -> str:
    """A figure as an SVG element whose colours are the page's; the same figure is the same text.

    Its words stay words: they can be found, selected and read at any size.

    Args:
        figure: drawn in the colours of the palette.
        alt: what can be seen.
    """
    written = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nnc"}):
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    text = written.getvalue()
    box = re.findall(r'viewBox="[^"]*"', text)[0]
    text = text[text.index("</defs>") + 7 :]  # before it stands a style for the whole page
    used = set(re.findall(r"#([\w-]+)[\")]", text))
    text = re.sub(
        r' id="([^"]+)"',
        lambda found: (
            f' class="{RAMP}"' if found[1] == RAMP else found[0] if found[1] in used else ""
        ),
        text,
    )
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # the page's own
    text = re.sub(r"(\.\d\d)\d+", r"\1", text)
    for role, entry in PALETTE.items():
        text = text.replace(entry["light"], f"var(--{role})")
    text = re.sub(r"\s*\n\s*", " ", text).strip()  # one line in a stored notebook
    return f'<svg class="nnc-drawn" {box} role="img" aria-label="{html.escape(alt)}">{text}'


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
        width = self.figure.get_size_inches()[0] * 96
        return (
            f'<figure class="nnc-shown"><style>{BOX_CSS}{STILL_CSS}</style>'
            f'<div class="nnc-figure nnc-still" style="max-width:{width + 26:.0f}px">'
            f"{svg(self.figure, self.alt)}</div>{caption(self.caption, self.badge)}</figure>"
        )


# A table that has less room than its letters need stands as a stack of its rows.
_LETTER = 0.53  # em, on average
_SHORT = 10  # letters that are not broken into two lines
_TABLE_CSS = """.nnc-table{container-type:inline-size;overflow-x:auto}
@container (width < WIDTHem){.nnc-below-LETTERS{
 thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
 &,tbody,tr{display:block;width:100%}
 tr{padding:.4em 0;border-bottom:1px solid #8886}
 :is(th,td){display:grid;grid-template-columns:minmax(0,2fr) minmax(0,3fr);gap:.8em;
  padding:.15em 0!important;border:0;text-align:left!important;white-space:normal!important;
  overflow-wrap:anywhere}
 tbody th{display:block}
 [data-label]::before{content:attr(data-label);opacity:.8}
}}"""


@dataclass(frozen=True)
class Table:
    """A table of results with a caption; where it is too wide its rows stand one below the other.

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
        columns = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        kinds = [_kind(column) for column in columns]
        head = "".join(
            f'<th scope="col" role="columnheader"{kind}>{html.escape(name)}</th>'
            for name, kind in zip(self.columns, kinds, strict=True)
        )
        body = "".join(
            '<tr role="row">'
            + "".join(
                _cell(value, kind, place, name)
                for place, (value, kind, name) in enumerate(
                    zip(row, kinds, self.columns, strict=True)
                )
            )
            + "</tr>"
            for row in self.rows
        )
        wanted = sum(
            max(_narrowest(text, kind) for text in (name, *map(str, column))) + 3
            for name, column, kind in zip(self.columns, columns, kinds, strict=True)
        )
        style = _TABLE_CSS.replace("WIDTH", f"{_LETTER * wanted:.0f}")
        style = style.replace("LETTERS", str(wanted))
        return (
            f'<figure class="nnc-shown"><style>{style}</style><div class="nnc-table">'
            f'<table class="nnc-below-{wanted}" role="table" '
            f'aria-label="{html.escape(self.caption)}">'
            f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>'
            f'<tbody role="rowgroup">{body}</tbody></table></div>'
            f"{caption(self.caption, self.badge)}</figure>"
        )


def _kind(column: Sequence[object]) -> str:
    """The class of a column that holds nothing but numbers, written as text or not."""
    cells = [str(value) for value in column if str(value) not in ("", "–")]
    numbers = [cell for cell in cells if cell.lstrip("+-−≈<>")[:1].isdigit()]
    return ' class="number"' if cells and len(numbers) == len(cells) else ""


def _narrowest(text: str, kind: str) -> int:
    """The letters that a cell needs side by side: numbers are not broken, text at its spaces."""
    if len(text) < _SHORT or (kind and text[:1] in "+-−≈<>0123456789"):
        return len(text)
    return max(_SHORT, *map(len, text.split()))


def _cell(value: object, kind: str, place: int, name: str) -> str:
    text = html.escape(str(value))
    label = f' data-label="{html.escape(name)}"' if name and place else ""
    if place:
        return f'<td role="cell"{kind}{label}>{text}</td>'
    return f'<th scope="row" role="rowheader"{kind}>{text}</th>'
