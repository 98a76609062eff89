"""Frames of weights over epochs, played in the page: no kernel, no library, no network.

The last frame is drawn here, so that there is a picture where no script runs; film.html draws the
others in the same way. Both work in the units of an SVG picture 400 wide.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from nnc_book.plots.page import Badge, caption
from nnc_book.plots.style import FIGURE_CSS, PALETTE, ROLES

_LEFT, _TOP, _SIDE, _MARGIN = 52, 8, 262, 66  # the square of weights, and the counts beside it
_CURVES, _HEIGHT = 336, 84  # where the curves begin, and how tall they are
_SHADES = 8
_DASHES = {"solid": "", "dashed": "7 4", "dotted": "2 3", "dashdot": "7 3 2 3"}
_MOST_BYTES = 400_000


@dataclass(frozen=True)
class Film:
    """Weights by initial and current value, frame by frame, with the mixture's components.

    It does not start by itself; it is played, stepped or moved by its slider.

    Args:
        joint: frames × bins × bins, weights counted by initial (row) and current value.
        means, sigmas: frames × components, zero component first; drawn as bands of two standard
            deviations to either side.
        limits: of the bins.
        curves: name → one value per frame, at most five; drawn below and written beside.
        caption, badge: as for a picture.
        epochs: of each frame; 0, 1, 2, … where not given.

    Raises:
        ValueError: the lengths differ, or the film is too large for a page.
    """

    joint: np.ndarray
    means: np.ndarray
    sigmas: np.ndarray
    limits: tuple[float, float]
    curves: Mapping[str, Sequence[float]]
    caption: str
    badge: Badge
    epochs: Sequence[int] | None = None

    def __post_init__(self) -> None:
        frames = len(self.joint)
        lengths = {"means": len(self.means), "sigmas": len(self.sigmas)}
        lengths |= {f"curve {name!r}": len(values) for name, values in self.curves.items()}
        lengths["epochs"] = frames if self.epochs is None else len(self.epochs)
        for name, length in lengths.items():
            if length != frames:
                raise ValueError(f"{name} must have one entry per frame ({frames}), got {length}")
        if not frames or len(self.curves) > len(ROLES):
            raise ValueError(
                f"joint must have a frame and curves at most {len(ROLES)} names, "
                f"got {frames} and {len(self.curves)}"
            )

    def _repr_html_(self) -> str:
        levels = [_levels(frame) for frame in self.joint]
        epochs = [int(e) for e in (range(len(levels)) if self.epochs is None else self.epochs)]
        weights, top = int(self.joint[0].sum()), max(1, *(int(one.max()) for one in levels))
        bands = [
            # The zero component last, so that it lies on top.
            [self._band(float(mean), float(sigma)) for mean, sigma in zip(*frame, strict=True)][
                ::-1
            ]
            for frame in zip(self.means, self.sigmas, strict=True)
        ]
        cursor = [round(_across(epoch, epochs), 1) for epoch in epochs]
        curves = {name: [round(float(v), 4) for v in row] for name, row in self.curves.items()}
        data = {
            "bins": len(levels[0]),
            "frames": [_encode(one) for one in levels],
            "top": top,
            "shades": _SHADES,
            "weights": weights,
            "margin": _MARGIN,
            "bands": bands,
            "epochs": epochs,
            "cursor": cursor,
            "curves": [{"name": name, "values": row} for name, row in curves.items()],
        }
        text = json.dumps(data, separators=(",", ":")).replace("</", "<\\/")
        if len(text) > _MOST_BYTES:
            raise ValueError(
                f"joint: {len(levels)} frames of {len(levels[0])} × {len(levels[0])} bins make "
                f"{len(text):,} bytes, more than {_MOST_BYTES:,}: leave out frames or add up bins"
            )
        picture = _picture(
            levels[-1],
            _heat(levels[-1], top),
            _margin(levels[-1], weights),
            bands[-1],
            (_axes(self.limits), _curves(curves, epochs) if curves else ""),
        )
        parts = {
            "FILM_CSS": FIGURE_CSS,
            "FILM_PICTURE": picture,
            "FILM_WORDS": _words(curves, epochs),
            "FILM_TABLE": _table(curves, epochs),
            "FILM_DATA": text,
            "FILM_CAPTION": caption(self.caption, self.badge),
        }
        # Named by its contents: several films on a page, and the same bytes every time.
        page = (files("nnc_book.plots") / "film.html").read_text(encoding="utf-8")
        page = page.replace("FILM_ID", hashlib.sha256(text.encode()).hexdigest()[:10])
        for name, part in parts.items():
            page = page.replace(name, part)
        return page

    def _band(self, mean: float, sigma: float) -> tuple[float, float, float]:
        """Where a component's band begins, how tall it is (it has to be seen), and its mean."""
        low, high = self.limits
        scale = _SIDE / (high - low)
        top = max(0.0, (high - mean - 2 * sigma) * scale)
        bottom = min(float(_SIDE), (high - mean + 2 * sigma) * scale)
        if bottom < 0 or top > _SIDE:
            return -9.0, 0.0, -9.0  # outside the picture
        middle = min(max(0.0, (high - mean) * scale), float(_SIDE))
        return round(_TOP + top, 1), round(max(1.5, bottom - top), 1), round(_TOP + middle, 1)


def _levels(counts: np.ndarray) -> np.ndarray:
    """Counts as one byte each, sixteen steps to a doubling."""
    return np.minimum(255, np.ceil(16 * np.log2(counts.astype(np.float64) + 1))).astype(np.uint8)


def _encode(levels: np.ndarray) -> str:
    """Bytes with runs of zeros shortened to a zero and their length, in base64."""
    out, run = bytearray(), 0
    for value in [*levels.ravel().tolist(), -1]:
        if value == 0 and run < 255:
            run += 1
            continue
        if run:
            out += bytes((0, run))
        run = int(value == 0)
        if value > 0:
            out.append(value)
    return base64.b64encode(bytes(out)).decode()


def _heat(levels: np.ndarray, top: int) -> list[str]:
    """One path of unit squares per shade."""
    paths = [""] * _SHADES
    for row, column in np.argwhere(levels).tolist():
        shade = math.ceil(int(levels[row, column]) * _SHADES / top) - 1
        paths[shade] += f"M{row} {column}h1v1h-1z"
    return paths


def _margin(levels: np.ndarray, weights: int) -> str:
    """Bars of the current values' counts, logarithmic."""
    totals = np.where(levels > 0, 2.0 ** (levels / 16) - 1, 0).sum(0).tolist()
    widths = [math.log1p(total) * _MARGIN / math.log1p(weights) for total in totals]
    return "".join(f"M0 {i}h{width:.1f}v1H0z" for i, width in enumerate(widths) if width)


def _across(epoch: int, epochs: Sequence[int]) -> float:
    return _LEFT + (epoch - epochs[0]) / max(1, epochs[-1] - epochs[0]) * (388 - _LEFT)


def _axes(limits: tuple[float, float]) -> str:
    low, high = limits
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        value = f"{low + share * (high - low):g}".replace("-", "−")
        x, y = _LEFT + share * _SIDE, _TOP + (1 - share) * _SIDE
        parts.append(f'<text x="{x:g}" y="{_TOP + _SIDE + 16}" class="middle">{value}</text>')
        parts.append(f'<text x="{_LEFT - 5}" y="{y + 4:g}" class="end">{value}</text>')
    middle = _TOP + _SIDE / 2
    parts.append(
        f'<text x="{_LEFT + _SIDE / 2:g}" y="{_TOP + _SIDE + 34}" class="middle">'
        "weight after step 1</text>"
        f'<text transform="translate(12 {middle:g}) rotate(-90)" class="middle">weight now</text>'
        f'<text x="{_LEFT + _SIDE + 10 + _MARGIN / 2:g}" y="{_TOP + _SIDE + 16}" class="middle">'
        "counts</text>"
        f'<path class="axis" stroke-dasharray="4 4" d="M{_LEFT} {_TOP + _SIDE}l{_SIDE} -{_SIDE}"/>'
        f'<path class="axis" d="M{_LEFT} {_TOP}h{_SIDE}v{_SIDE}h-{_SIDE}z"/>'
    )
    return "".join(parts)


def _curves(curves: Mapping[str, Sequence[float]], epochs: Sequence[int]) -> str:
    values = [value for row in curves.values() for value in row]
    low, high = min(values), max(values)
    scale = _HEIGHT / (high - low or 1)
    parts = [f'<path class="axis" d="M{_LEFT} {_CURVES}v{_HEIGHT}H388"/>']
    for (_, row), role in zip(curves.items(), ROLES, strict=False):
        spots = [
            f"{_across(epoch, epochs):.1f},{_CURVES + (high - value) * scale:.1f}"
            for epoch, value in zip(epochs, row, strict=True)
        ]
        dash = _DASHES[PALETTE[role]["line"]]
        parts.append(f'<path class="{role}" stroke-dasharray="{dash}" d="M{"L".join(spots)}"/>')
    for value, y in ((high, _CURVES + 5), (low, _CURVES + _HEIGHT)):
        parts.append(f'<text x="{_LEFT - 5}" y="{y}" class="end">{value:.2f}</text>')
    below = _CURVES + _HEIGHT + 16
    for epoch, x, side in ((epochs[0], _LEFT, "middle"), (epochs[-1], 388, "end")):
        parts.append(f'<text x="{x}" y="{below}" class="{side}">{epoch}</text>')
    parts.append(f'<text x="{(_LEFT + 388) / 2:g}" y="{below}" class="middle">epoch</text>')
    cursor = f'<path class="cursor" transform="translate(388 0)" d="M0 {_CURVES}v{_HEIGHT}"/>'
    return f'<g class="curves">{"".join(parts)}</g>{cursor}'


def _picture(
    levels: np.ndarray,
    heat: Sequence[str],
    margin: str,
    bands: Sequence[tuple[float, float, float]],
    still: tuple[str, str],
) -> str:
    """One frame; by their classes the script finds the parts that change."""
    axes, curves = still
    height = _CURVES + _HEIGHT + 24 if curves else _CURVES - 26
    cell = _SIDE / len(levels)
    shades = "".join(
        f'<path fill-opacity="{0.25 + 0.75 * i / (_SHADES - 1):.2f}" d="{path}"/>'
        for i, path in enumerate(heat)
    )
    wide, roles = 388 - _LEFT, ["components"] * (len(bands) - 1) + ["zero"]
    stripes = "".join(
        f'<rect class="{role}" x="{_LEFT}" width="{wide}" y="{y}" height="{size}"/>'
        for role, (y, size, _) in zip(roles, bands, strict=True)
    )
    middles = "".join(
        f'<path class="{role}" transform="translate(0 {y})" d="M{_LEFT} 0h{wide}"/>'
        for role, (_, _, y) in zip(roles, bands, strict=True)
    )
    turned = f"scale({{}} -{cell:.4f})"
    corner = f"translate({_LEFT} {_TOP + _SIDE}) {turned.format(f'{cell:.4f}')}"
    return (
        f'<div class="view"><svg viewBox="0 0 400 {height}" role="img" '
        'aria-label="Weights by initial and current value, and the counts of current values">'
        f'<g class="bands">{stripes}</g><g class="means">{middles}</g>'
        f'<g class="heat" transform="{corner}" shape-rendering="crispEdges">{shades}</g>'
        f'<path class="margin" transform="translate({_LEFT + _SIDE + 8} {_TOP + _SIDE}) '
        f'{turned.format(1)}" d="{margin}"/>{axes}{curves}</svg></div>'
    )


def _words(curves: Mapping[str, Sequence[float]], epochs: Sequence[int]) -> str:
    items = "".join(
        f'<li class="{role}" style="--line:{_border(role)}">{html.escape(name)} {row[-1]:.3f}</li>'
        for (name, row), role in zip(curves.items(), ROLES, strict=False)
    )
    return (
        f'<p class="epoch" style="margin:0">Epoch {epochs[-1]} of {epochs[-1]}</p><ul>{items}</ul>'
    )


def _border(role: str) -> str:
    line = PALETTE[role]["line"]
    return "dashed" if line == "dashdot" else line


def _table(curves: Mapping[str, Sequence[float]], epochs: Sequence[int]) -> str:
    def line(tag: str, cells: Iterable[str]) -> str:
        return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"

    head = line("th", ["epoch", *map(html.escape, curves)])
    rows = zip(epochs, *curves.values(), strict=True)
    body = "".join(line("td", [str(e), *(f"{v:.3f}" for v in row)]) for e, *row in rows)
    return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
