"""An animated drawing of one lesson: an image, a teacher, a student, and two terms of a loss."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nnc_book.plots.page import caption
from nnc_book.plots.style import FIGURE_CSS

_HEIGHT = 62  # pixels of the highest bar
_CSS = """
.nnc-lesson svg{width:100%;max-width:440px}
.nnc-lesson .box{fill:none;stroke-width:2;stroke:var(--tone)}
.nnc-lesson .teacher{--tone:var(--teacher)}
.nnc-lesson .student{--tone:var(--student)}
.nnc-lesson .label{--tone:var(--weights)}
.nnc-lesson .one{fill:var(--tone);transform-box:fill-box;transform-origin:bottom;
 transform:scaleY(var(--to))}
.nnc-lesson .way{fill:none;stroke:var(--baseline);stroke-width:1.5}
.nnc-lesson .term{fill:none;stroke:var(--components);stroke-width:2;stroke-dasharray:5 4}
.nnc-lesson .dot{fill:var(--components);opacity:0}
.nnc-lesson text{text-anchor:middle;font-size:13px}
.nnc-lesson .small{font-size:11px}
@media (prefers-reduced-motion:no-preference){
.nnc-lesson .student .one{animation:nnc-lesson-learn 8s ease-in-out infinite}
.nnc-lesson .dot{animation:nnc-lesson-go 4s linear infinite}
}
@keyframes nnc-lesson-learn{0%,12%{transform:scaleY(var(--from))}
 70%,100%{transform:scaleY(var(--to))}}
@keyframes nnc-lesson-go{0%{opacity:0;offset-distance:0%}10%,80%{opacity:1}
 100%{opacity:0;offset-distance:100%}}
"""
_TERMS = ("M90 275 V292 H184 V338 H206", "M164 362 H206", "M273 275 V318")
_WAYS = ("M180 78 L90 112", "M180 78 L270 112")
_ANSWERS = ("M90 147 V172", "M270 147 V172")  # from a network to what it says


@dataclass(frozen=True, eq=False)
class Lesson:
    """One image before a teacher and a student, whose answer moves towards two targets.

    The bars of both networks are drawn on one scale, the highest of all at full height.

    Args:
        image: uint8, 1 × 28 × 28.
        label: its class.
        teacher: the teacher's soft targets, 10 probabilities.
        before: the student's, at the same temperature, before training.
        after: the student's after training.
        caption: what is shown, on which data.
        alt: what can be seen.
    """

    image: Tensor
    label: int
    teacher: Sequence[float]
    before: Sequence[float]
    after: Sequence[float]
    caption: str
    alt: str

    def _repr_html_(self) -> str:
        one_hot = [float(c == self.label) for c in range(10)]
        highest = max(*self.teacher, *self.before, *self.after)
        teacher, before, after = (
            [share / highest for share in shares]
            for shares in (self.teacher, self.before, self.after)
        )
        return (
            f'<figure class="nnc-shown"><style>{FIGURE_CSS}{_CSS}</style>'
            f'<div class="nnc-figure nnc-lesson"><svg viewBox="0 0 360 424" role="img" '
            f'aria-label="{html.escape(self.alt)}">'
            f'<image x="152" y="20" width="56" height="56" style="image-rendering:pixelated" '
            f'href="data:image/png;base64,{_png(self.image)}"/>'
            '<text x="180" y="14">an image</text>'
            + "".join(f'<path class="way" d="{way}"/>' for way in (*_WAYS, *_ANSWERS))
            + "".join(
                f'<circle class="dot" r="5" style="offset-path:path(\'{way}\')"/>' for way in _WAYS
            )
            + _box("teacher", 20, "teacher")
            + _box("student", 200, "student")
            + _bars("teacher", 20, 238, teacher, teacher, "its soft targets")
            + _bars("student", 200, 238, before, after, "its answer, learning")
            + _bars("label", 20, 376, one_hot, one_hot, f"the label: {self.label}")
            + "".join(f'<path class="term" d="{line}"/>' for line in _TERMS)
            + '<rect class="term" x="206" y="318" width="134" height="62" rx="8"/>'
            + '<text x="273" y="343">α T² KL</text><text x="273" y="367">+ (1 − α) CE</text>'
            + '<text x="273" y="398">the loss</text></svg></div>'
            + f"{caption(self.caption, 'LIVE')}</figure>"
        )


def _box(role: str, x: int, text: str) -> str:
    return (
        f'<g class="{role}"><rect class="box" x="{x}" y="112" width="140" height="34" rx="8"/>'
        f'<text x="{x + 70}" y="134">{text}</text></g>'
    )


def _bars(
    role: str, x: int, ground: int, start: Sequence[float], end: Sequence[float], text: str
) -> str:
    """Ten bars that stand on a line, their digits below, and what they are below that."""
    parts = []
    for c, (low, high) in enumerate(zip(start, end, strict=True)):
        middle = x + 14 * c + 7
        parts.append(
            f'<rect class="one" x="{middle - 5}" y="{ground - _HEIGHT}" width="10" '
            f'height="{_HEIGHT}" style="--from:{max(low, 0.01):.3f};--to:{max(high, 0.01):.3f}"/>'
            f'<text class="small" x="{middle}" y="{ground + 13}">{c}</text>'
        )
    return (
        f'<g class="{role}">{"".join(parts)}<text x="{x + 70}" y="{ground + 31}">{text}</text></g>'
    )


def _png(image: Tensor) -> str:
    from PIL import Image  # torchvision brings it

    buffer = io.BytesIO()
    Image.fromarray(image[0].numpy()).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
