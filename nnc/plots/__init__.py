"""Static figures, films and tables of the book, in one style.

Every function takes plain tensors or rows and gives an object to display; none reads a run,
touches matplotlib's global settings (but for :func:`use_style`) or needs a display.
"""

from nnc.plots.figures import curves, density, histogram, joint, pixels, points, pull
from nnc.plots.film import Film
from nnc.plots.page import Badge, Picture, Table, caption, png
from nnc.plots.storing import bars, levels, narrowing, shares_of, sizes_by_share
from nnc.plots.style import FIGURE_CSS, LIMITS, PALETTE, use_style

__all__ = [
    "Badge",
    "FIGURE_CSS",
    "Film",
    "LIMITS",
    "PALETTE",
    "Picture",
    "Table",
    "bars",
    "caption",
    "curves",
    "density",
    "histogram",
    "joint",
    "levels",
    "narrowing",
    "pixels",
    "png",
    "points",
    "pull",
    "shares_of",
    "sizes_by_share",
    "use_style",
]
