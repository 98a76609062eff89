"""Static figures, films and tables of the book, in one style.

Every function takes plain tensors or rows and gives an object to display; none reads a file,
touches matplotlib's global settings or needs a display.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from nnc.priors import Mixture

PALETTE: dict[str, dict[str, str]] = json.loads((files("nnc") / "palette.json").read_text())
LIMITS = (-1.0, 1.0)  # of weights, the same in every figure of soft weight-sharing

Badge = Literal["LIVE", "RECORDED", "DRAWN"]
_STYLE = {"LIVE": "#0072b2", "RECORDED": "#00715a", "DRAWN": "#666666"}


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
        buffer = io.BytesIO()
        # Without metadata the same figure is the same bytes.
        self.figure.savefig(buffer, format="png", metadata={"Software": None})
        data = base64.b64encode(buffer.getvalue()).decode()
        return (
            f'<figure style="margin:1em 0"><img alt="{html.escape(self.alt)}" style="width:100%;'
            f'max-width:760px;border-radius:6px" src="data:image/png;base64,{data}">'
            f"{_caption(self.caption, self.badge)}</figure>"
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
        head = "".join(f"<th scope='col'>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(_cell(value, first=i == 0) for i, value in enumerate(row)) + "</tr>"
            for row in self.rows
        )
        return (
            f'<figure style="margin:1em 0"><div role="region" tabindex="0" '
            f'aria-label="{html.escape(self.caption)}" style="overflow-x:auto">'
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            f"{_caption(self.caption, self.badge)}</figure>"
        )


@dataclass(frozen=True)
class Film:
    """Frames of weights over epochs, played in the page: no kernel, no library.

    Args:
        joint: frames × bins × bins, weights counted by initial (row) and current value.
        means, sigmas: frames × components, zero component first.
        limits: of the bins.
        curves: name → one value per frame, shown as text beside the picture.
        caption, badge: as for a picture.
    """

    joint: np.ndarray
    means: np.ndarray
    sigmas: np.ndarray
    limits: tuple[float, float]
    curves: Mapping[str, Sequence[float]]
    caption: str
    badge: Badge

    def _repr_html_(self) -> str:
        payload = {
            "bins": int(self.joint.shape[1]),
            "frames": [_encode_frame(frame) for frame in self.joint],
            "means": np.round(self.means, 4).tolist(),
            "sigmas": np.round(self.sigmas, 4).tolist(),
            "limits": list(self.limits),
            "curves": {
                name: [round(float(v), 4) for v in row] for name, row in self.curves.items()
            },
            "palette": PALETTE,
        }
        text = json.dumps(payload, separators=(",", ":"), sort_keys=True)
        # The id follows from the contents: several films on a page, the same bytes every time.
        identity = "film-" + hashlib.sha256(text.encode()).hexdigest()[:10]
        player = (files("nnc") / "film.html").read_text()
        return player.replace("FILM_ID", identity).replace("FILM_DATA", text) + _caption(
            self.caption, self.badge
        )


def density(
    mixture: Mixture, l2_sigma: float | None = None, limits: tuple[float, float] = LIMITS
) -> Figure:
    """Density of a mixture on a logarithmic scale, component by component.

    Args:
        mixture: to be drawn.
        l2_sigma: where given, the Gaussian of L2 is drawn beside it.
        limits: of the weight axis.
    """
    import torch

    x = torch.linspace(*limits, 2001, dtype=torch.float64)
    figure, axes = _figure()
    axes.semilogy(
        x, mixture.log_density(x).exp(), color=_colour("weights"), lw=2.5, label="mixture"
    )
    parts = mixture.responsibilities(x) * mixture.log_density(x).exp()[:, None]
    for j in range(len(mixture.means)):
        key = "zero" if j == 0 else "components"
        label = PALETTE[key]["label"] if j < 2 else None
        axes.semilogy(x, parts[:, j], color=_colour(key), lw=1.2, label=label)
    if l2_sigma is not None:
        gaussian = np.exp(-((x.numpy() / l2_sigma) ** 2) / 2) / (l2_sigma * np.sqrt(2 * np.pi))
        axes.semilogy(x, gaussian, "--", color=_colour("l2"), lw=2, label=PALETTE["l2"]["label"])
    top = float(mixture.log_density(x).exp().max())
    axes.set(xlabel="weight", ylabel="density", xlim=limits, ylim=(1e-6, 3 * max(top, 1)))
    axes.legend(frameon=False, loc="upper right")
    return figure


def histogram(
    weights: Tensor | np.ndarray,
    mixture: Mixture | None = None,
    limits: tuple[float, float] = LIMITS,
    label: str = "weights",
) -> Figure:
    """Density of weights on a logarithmic scale, with the components' bands where given.

    Args:
        weights: any shape.
        mixture: its non-zero components are drawn as bands of two standard deviations.
        limits: of the weight axis; the same in all figures of a chapter.
        label: of the weights.
    """
    values = np.asarray(weights, dtype=np.float64).ravel()
    figure, axes = _figure()
    if mixture is not None:
        for j, (mean, sigma) in enumerate(zip(mixture.means, mixture.sigmas, strict=True)):
            colour = _colour("zero" if j == 0 else "components")
            low, high = float(mean - 2 * sigma), float(mean + 2 * sigma)
            axes.axvspan(low, high, color=colour, alpha=0.18, lw=0)
            axes.axvline(float(mean), color=colour, lw=1)
    axes.hist(
        values,
        bins=201,
        range=limits,
        density=True,
        log=True,
        color=_colour("weights"),
        label=label,
    )
    axes.set(xlabel="weight", ylabel="density", xlim=limits)
    return figure


def joint(
    counts: np.ndarray, limits: tuple[float, float] = LIMITS, means: Tensor | None = None
) -> Figure:
    """Weights by initial value (after step 1) and current value, counted, on a logarithmic scale.

    Args:
        counts: bins × bins, rows by initial value.
        limits: of both axes.
        means: component means, drawn as lines.
    """
    figure = Figure(figsize=(6, 6), dpi=140, facecolor=PALETTE["ground"]["light"])
    grid = figure.add_gridspec(
        2, 2, width_ratios=(4, 1), height_ratios=(1, 4), wspace=0.04, hspace=0.04
    )
    axes = figure.add_subplot(grid[1, 0])
    masked = np.ma.masked_equal(counts.T, 0)
    extent = (*limits, *limits)
    axes.imshow(masked, origin="lower", extent=extent, norm=LogNorm(1), cmap="cividis_r")
    axes.plot(limits, limits, color=_colour("baseline"), lw=1, ls="--")
    for mean in [] if means is None else means.tolist():
        axes.axhline(mean, color=_colour("components"), lw=0.6, alpha=0.7)
    axes.set(xlabel="weight after step 1", ylabel="weight now", aspect="auto")
    centres = np.linspace(*limits, len(counts), endpoint=False) + (limits[1] - limits[0]) / 2 / len(
        counts
    )
    top = figure.add_subplot(grid[0, 0], sharex=axes)
    top.fill_between(centres, counts.sum(1) + 0.5, 0.5, step="mid", color=_colour("weights"))
    side = figure.add_subplot(grid[1, 1], sharey=axes)
    side.fill_betweenx(centres, counts.sum(0) + 0.5, 0.5, step="mid", color=_colour("weights"))
    top.set_yscale("log")
    side.set_xscale("log")
    for panel in (top, side):
        panel.axis("off")
    _dress(axes)
    return figure


def curves(
    rows: Sequence[Mapping[str, float]],
    columns: Mapping[str, str],
    ylabel: str,
    ylim: tuple[float, float] | None = None,
) -> Figure:
    """Curves over epochs.

    Args:
        rows: a history, one row per epoch.
        columns: which of its columns, and how to call them.
        ylabel: of the vertical axis.
        ylim: its limits.
    """
    figure, axes = _figure()
    epochs = [row["epoch"] for row in rows]
    keys = ("student", "components", "zero", "teacher")
    dashes = ("-", "--", ":", "-.")
    for (column, label), key, dash in zip(columns.items(), keys, dashes, strict=False):
        axes.plot(
            epochs, [row[column] for row in rows], dash, color=_colour(key), lw=2.5, label=label
        )
    axes.set(xlabel="epoch", ylabel=ylabel, ylim=ylim)
    axes.legend(frameon=False)
    return figure


def points(
    series: Sequence[Mapping[str, Any]], xlabel: str, ylabel: str, xscale: str = "log"
) -> Figure:
    """Points of several kinds: records filled, trials hollow, published figures as crosses.

    Args:
        series: each with ``x``, ``y``, ``label``, ``kind`` (``"record"``, ``"trial"`` or
            ``"published"``) and, for published ones, ``marker`` and ``names``.
        xlabel, ylabel: of the axes.
        xscale: of the horizontal axis.
    """
    figure, axes = _figure(height=4.8)
    for one in series:
        style: dict[str, Any]
        if one["kind"] == "record":
            style = {"marker": "o", "color": _colour("student"), "s": 60, "zorder": 3}
        elif one["kind"] == "trial":
            style = {
                "marker": "o",
                "facecolors": "none",
                "edgecolors": _colour("baseline"),
                "s": 30,
            }
        else:
            style = {"marker": one["marker"], "color": _colour("teacher"), "s": 55}
        axes.scatter(one["x"], one["y"], label=one["label"], **style)
        for x, y, name in zip(one["x"], one["y"], one.get("names", ()), strict=False):
            axes.annotate(name, (x, y), xytext=(6, 4), textcoords="offset points", fontsize=8)
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale)
    axes.legend(frameon=False, fontsize=10)
    return figure


def pixels(counts: Tensor | np.ndarray, label: str) -> Figure:
    """One number per input pixel, 28 × 28, as a picture with a scale."""
    figure, axes = _figure(width=5, height=4.2)
    image = axes.imshow(np.asarray(counts).reshape(28, 28), cmap="cividis")
    axes.set(xticks=(), yticks=())
    figure.colorbar(image, ax=axes, label=label)
    return figure


def _figure(width: float = 7, height: float = 4) -> tuple[Figure, Axes]:
    figure = Figure(
        figsize=(width, height), dpi=140, facecolor=PALETTE["ground"]["light"], layout="constrained"
    )
    axes = figure.add_subplot()
    _dress(axes)
    return figure, axes


def _dress(axes: Axes) -> None:
    axes.set_facecolor(PALETTE["ground"]["light"])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=11)
    axes.xaxis.label.set_fontsize(12)
    axes.yaxis.label.set_fontsize(12)


def _colour(key: str) -> str:
    return PALETTE[key]["light"]


def _caption(text: str, badge: Badge) -> str:
    style = (
        f"background:{_STYLE[badge]};color:#fff;border-radius:4px;padding:1px 6px;"
        "font-size:0.75em;font-weight:600;margin-right:0.5em"
    )
    return (
        f'<figcaption style="color:inherit;opacity:0.9">'
        f'<span class="badge-{badge.lower()}" style="{style}">{badge}</span>'
        f"{html.escape(text)}</figcaption>"
    )


def _cell(value: object, first: bool) -> str:
    text = html.escape(str(value))
    if first:
        return f'<th scope="row" style="text-align:left">{text}</th>'
    align = "left" if isinstance(value, str) and not value[:1].isdigit() else "right"
    return f'<td style="text-align:{align};padding:0.2em 0.7em">{text}</td>'


def _encode_frame(counts: np.ndarray) -> str:
    """Counts as one byte each, logarithmic, run-length coded over zeros, in base64."""
    level = np.minimum(255, np.ceil(16 * np.log2(counts.astype(np.float64) + 1))).astype(np.uint8)
    flat, out, run = level.ravel(), bytearray(), 0
    for value in flat.tolist():
        if value == 0 and run < 255:
            run += 1
            continue
        if run:
            out += bytes((0, run))
            run = 0
        if value:
            out.append(value)
        else:
            run = 1
    if run:
        out += bytes((0, run))
    return base64.b64encode(bytes(out)).decode()
