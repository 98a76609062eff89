"""One look for everything that is drawn: colours, sizes, and the page's light and dark."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.resources import files
from typing import Any, ParamSpec, TypeVar

import matplotlib
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE: dict[str, dict[str, str]] = json.loads((files("nnc_book") / "palette.json").read_text())
LIMITS = (-1.0, 1.0)  # of weights, the same in every figure of soft weight-sharing

# Roles of curves and markers of points, in the order in which a figure takes them.
ROLES = ("student", "components", "zero", "teacher", "l2")
MARKERS = "osD^v"

RAMP = "nnc-ramp"  # the gid of an image whose colours go from pale to dark

P = ParamSpec("P")
R = TypeVar("R")


def colour(key: str) -> str:
    """The colour of a role of ``palette.json`` on paper, which is always light."""
    return PALETTE[key]["light"]


# Seven inches shrink to half their size on a phone: hence few labels, and large ones.
_STYLE: dict[Any, Any] = {
    "figure.facecolor": colour("ground"),
    "figure.dpi": 160,
    "savefig.dpi": "figure",
    "font.size": 14,
    "text.color": colour("weights"),
    "axes.facecolor": colour("ground"),
    "axes.edgecolor": colour("baseline"),
    "axes.labelcolor": colour("weights"),
    "axes.titlesize": 14,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=[colour(key) for key in ROLES]),
    "grid.color": colour("grid"),
    "grid.linewidth": 0.8,
    "xtick.color": colour("weights"),
    "ytick.color": colour("weights"),
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 13,
    "legend.handlelength": 1.6,
    "lines.linewidth": 2.5,
    "svg.hashsalt": "nnc",
}


def use_style() -> None:
    """Draw a notebook's own matplotlib figures in the book's style from now on."""
    matplotlib.rcParams.update(_STYLE)


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Give a drawing function the style while it runs, and leave the reader's settings alone."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with matplotlib.rc_context(_STYLE):
            return draw(*args, **kwargs)

    return inside


def new_figure(width: float = 7, height: float = 4) -> tuple[Figure, Axes]:
    """An empty figure of so many inches, and its axes. No window, no pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_above(axes: Axes, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend above the axes, where it hides nothing, in one row or in two columns."""
    one_row = sum(len(label) + 6 for label in labels) < 62  # letters that seven inches hold
    axes.legend(
        handles,
        labels,
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.2,
        ncols=len(labels) if one_row else 2,
        columnspacing=1.2,
        handletextpad=0.5,
    )


# What turns a ramp of colours from pale to dark into one from dark to pale, of the same hues.
_TURN = {"light": "none", "dark": "invert(1) hue-rotate(180deg)"}


def _variables(mode: str) -> str:
    values = {role: entry[mode] for role, entry in PALETTE.items()} | {"turn": _TURN[mode]}
    return ";".join(f"--{name}:{value}" for name, value in values.items())


# Readers choose light or dark in the book (data-theme), JupyterLab (data-jp-theme-light), VS Code
# and Colab (theme); where a page says nothing, the system's choice holds. Print is light.
_DARK = ",".join(
    f"{page} .nnc-figure"
    for page in (
        "html[data-theme=dark]",
        "html[theme=dark]",
        "body[data-jp-theme-light=false]",
        "body.vscode-dark",
    )
)
_SILENT = (
    "html:not([data-theme]):not([theme]) "
    "body:not([data-jp-theme-light]):not([data-vscode-theme-kind]) .nnc-figure"
)

# What every figure stands in, drawn or moving: the colours of the page's theme, and a frame.
BOX_CSS = f"""
.nnc-figure{{{_variables("light")};color-scheme:light}}
@media screen{{
{_DARK}{{{_variables("dark")};color-scheme:dark}}
@media (prefers-color-scheme:dark){{{_SILENT}{{{_variables("dark")};color-scheme:dark}}}}
}}
.nnc-figure{{box-sizing:border-box;max-width:748px;margin:1em 0;padding:12px;
 border:1px solid var(--grid);border-radius:8px;color:var(--weights);background:var(--ground);
 font:15px/1.45 var(--pst-font-family-base,var(--jp-ui-font-family,system-ui,sans-serif))}}
"""

FIGURE_CSS = f"""{BOX_CSS}
.nnc-figure [hidden]{{display:none!important}}
.nnc-figure .bar{{display:flex;flex-wrap:wrap;gap:8px;align-items:center}}
.nnc-figure button{{min-width:44px;min-height:44px;padding:0 14px;border:1px solid var(--baseline);
 border-radius:6px;color:inherit;background:transparent;font:inherit;cursor:pointer}}
.nnc-figure button:hover{{background:var(--grid)}}
.nnc-figure button[aria-pressed=true]{{background:var(--grid);font-weight:600}}
.nnc-figure fieldset{{display:flex;flex-wrap:wrap;gap:4px;margin:8px 0;padding:0;border:0;
 min-width:0}}
.nnc-figure legend{{padding:0 0 4px;font-size:1em}}
.nnc-figure label:has(input[type=radio]){{flex:none;position:relative;min-width:44px;
 min-height:44px;cursor:pointer}}
.nnc-figure label input[type=radio]{{position:absolute;inset:0;width:100%;height:100%;margin:0;
 opacity:0;cursor:pointer}}
.nnc-figure input[type=radio]+:is(img,canvas){{width:48px;height:48px;margin:0;
 image-rendering:pixelated;border-radius:4px;border:3px solid transparent;background:none}}
.nnc-figure input[type=radio]:focus-visible+*{{outline:3px solid var(--zero);outline-offset:1px}}
.nnc-figure .track{{border-left:1px solid var(--baseline);
 background:linear-gradient(90deg,transparent calc(100% - 1px),var(--grid) 0) 0/25% 100%}}
.nnc-figure .number{{font-variant-numeric:tabular-nums;font-size:14px;white-space:nowrap}}
.nnc-figure label{{display:flex;flex:1 1 230px;gap:10px;align-items:center;margin:0}}
.nnc-figure label span{{flex:none;min-width:8em}}
.nnc-figure input[type=range]{{flex:1;min-width:90px;height:44px;margin:0;accent-color:var(--zero)}}
.nnc-figure :focus-visible{{outline:3px solid var(--zero);outline-offset:2px}}
.nnc-figure svg{{display:block;max-width:100%;height:auto;margin:6px auto;user-select:none}}
.nnc-figure svg text{{fill:var(--weights);font-size:13px}}
.nnc-figure svg .middle{{text-anchor:middle}}
.nnc-figure svg .end{{text-anchor:end}}
.nnc-figure .row{{margin:0}}
.nnc-figure .row>*{{padding:0}}
.nnc-figure .paper{{{_variables("light")}}}
.nnc-figure .grid{{stroke:var(--grid);fill:none}}
.nnc-figure .status{{min-height:3em;margin:4px 0 10px}}
.nnc-figure .table{{max-height:22em;margin-top:10px;overflow:auto}}
.nnc-figure table{{display:table;margin:0 0 12px;border-collapse:collapse;font-size:14px;
 color:inherit;background:transparent}}
.nnc-figure caption{{padding:4px 0;font-weight:600;text-align:left;caption-side:top;color:inherit}}
.nnc-figure th,.nnc-figure td{{padding:4px 14px 4px 0;border:0;border-bottom:1px solid var(--grid);
 text-align:right;font-variant-numeric:tabular-nums;color:inherit;background:transparent}}
.nnc-figure summary{{min-height:44px;display:flex;align-items:center;cursor:pointer}}
.nnc-figure summary::before{{content:"▸";margin-right:8px}}
.nnc-figure details[open] summary::before{{content:"▾"}}
@media (prefers-reduced-motion:reduce){{.nnc-figure .play{{display:none}}}}
@media print{{.nnc-figure .bar :is(button,input),.nnc-figure summary{{display:none}}}}
"""
