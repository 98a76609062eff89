"""The picture that is shown where a page is linked: its title, what it is about, and a figure.

A chapter with an interactive figure shows that; every other page the network of the first page.
"""

from __future__ import annotations

import base64
import io
import json
import textwrap
from functools import cache
from pathlib import Path

import landing
import matplotlib
import numpy as np
from book_pages import executed
from PIL import Image, ImageDraw, ImageFont

from nnc.storage.qr import qr_code
from nnc_book import records
from nnc_book.plots import PALETTE

SIZE = (1200, 630)  # what most services ask for
MARGIN, FIGURE = 64, 440


@cache
def font(weight: str, size: int) -> ImageFont.FreeTypeFont:
    """One of the fonts that matplotlib brings."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{weight}.ttf")
    return ImageFont.truetype(str(path), size)


@cache
def usual() -> Image.Image:
    """The code of the first page's network, two pixels to a module."""
    data = (records.FOLDER / landing.smallest()["file"]).read_bytes()
    light = 1 - np.array(qr_code(data).matrix, dtype=np.uint8)
    return Image.fromarray(255 * light.repeat(2, 0).repeat(2, 1))


def figure_of(root: Path, page: str) -> Image.Image:
    """A page's first interactive figure as it stands, or the usual picture."""
    path = executed(root, page)
    if path.exists():
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            for output in cell.get("outputs", []):
                if found := output.get("data", {}).get("image/png"):
                    chart = Image.open(io.BytesIO(base64.b64decode(found))).convert("RGB")
                    chart.thumbnail((FIGURE, FIGURE), Image.Resampling.LANCZOS)
                    return chart
    return usual()


def picture(title: str, words: str, book: str, figure: Image.Image) -> bytes:
    """A PNG of 1200 × 630 pixels."""
    canvas = Image.new("RGB", SIZE, PALETTE["ground"]["light"])
    canvas.paste(figure, (SIZE[0] - MARGIN - figure.width, (SIZE[1] - figure.height) // 2))
    pen = ImageDraw.Draw(canvas)
    dark, grey = PALETTE["weights"]["light"], PALETTE["student"]["light"]
    top = MARGIN
    for size, weight, letters, most, text, colour in (
        (52, "-Bold", 18, 4, title, dark),
        (26, "", 38, 7, words, dark),
    ):
        lines = textwrap.wrap(text, letters, max_lines=most, placeholder=" …")
        pen.multiline_text((MARGIN, top), "\n".join(lines), colour, font(weight, size), spacing=10)
        top += len(lines) * int(1.35 * size) + 24
    pen.text((MARGIN, SIZE[1] - MARGIN - 28), book, grey, font("-Bold", 24))
    written = io.BytesIO()
    canvas.quantize(255, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()
