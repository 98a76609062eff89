"""Interactive figures: live in Jupyter and Colab, and in the published page with no kernel."""

from nnc.widgets.digit import Digit
from nnc.widgets.front import Front
from nnc.widgets.prior import Prior
from nnc.widgets.quantise import Quantise
from nnc.widgets.storing import Storing
from nnc.widgets.temperature import Temperature

__all__ = ["Digit", "Front", "Prior", "Quantise", "Storing", "Temperature"]
