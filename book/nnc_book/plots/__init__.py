"""Static figures, films and tables of the book, in one style.

Every function takes plain tensors or rows and gives an object to display; none reads a run,
touches matplotlib's global settings (but for :func:`use_style`) or needs a display.
"""

from nnc_book.plots.budgets import budget
from nnc_book.plots.costs import breakeven, steps
from nnc_book.plots.edges import Edges
from nnc_book.plots.figures import (
    POINT_ROLES,
    assignment,
    curves,
    density,
    filters,
    histogram,
    joint,
    pixels,
    places,
    points,
    pull,
)
from nnc_book.plots.film import Film
from nnc_book.plots.page import Badge, Caption, Picture, Table, caption, png
from nnc_book.plots.paper import modules
from nnc_book.plots.schematic import Lesson
from nnc_book.plots.storing import bars, levels, narrowing, shares_of, sizes_by_share
from nnc_book.plots.students import (
    against,
    answers,
    by_temperature,
    gains,
    histories,
    reliability,
    seeds,
    similarity,
    soft_targets,
)
from nnc_book.plots.style import FIGURE_CSS, LIMITS, PALETTE, use_style

__all__ = [
    "Badge",
    "Caption",
    "Edges",
    "FIGURE_CSS",
    "Film",
    "LIMITS",
    "Lesson",
    "PALETTE",
    "POINT_ROLES",
    "Picture",
    "Table",
    "against",
    "answers",
    "assignment",
    "bars",
    "breakeven",
    "budget",
    "by_temperature",
    "caption",
    "curves",
    "density",
    "filters",
    "gains",
    "histogram",
    "histories",
    "joint",
    "levels",
    "modules",
    "narrowing",
    "pixels",
    "places",
    "png",
    "points",
    "pull",
    "reliability",
    "seeds",
    "shares_of",
    "similarity",
    "sizes_by_share",
    "soft_targets",
    "steps",
    "use_style",
]
