"""Interactive figures: live in Jupyter and Colab, and in the published page with no kernel."""

from nnc_book.widgets.digit import Digit
from nnc_book.widgets.distil import Distil
from nnc_book.widgets.front import Front
from nnc_book.widgets.paper import Paper
from nnc_book.widgets.prior import Prior
from nnc_book.widgets.quantise import Quantise
from nnc_book.widgets.share import Share
from nnc_book.widgets.storing import Storing
from nnc_book.widgets.temperature import Temperature

__all__ = [
    "Digit",
    "Distil",
    "Front",
    "Paper",
    "Prior",
    "Quantise",
    "Share",
    "Storing",
    "Temperature",
]
