"""What the figures that train networks in the page share with Python."""

from __future__ import annotations

import math
from collections.abc import Iterator

# Twice the class, since a film's styles may come later in the page and are as particular.
LEARN_CSS = """
.nnc-figure.nnc-figure button.main{background:var(--weights);color:var(--ground);
 font-weight:600;min-width:9em}
.nnc-figure button:disabled{opacity:.5;cursor:default;background:transparent}
.nnc-figure .map{border:1px solid var(--grid);border-radius:4px}
.nnc-figure .area{fill:var(--tone);shape-rendering:crispEdges}
.nnc-figure .sure0{fill-opacity:.07}
.nnc-figure .sure1{fill-opacity:.15}
.nnc-figure .sure2{fill-opacity:.24}
.nnc-figure .sure3{fill-opacity:.36}
.nnc-figure .spot{fill:var(--tone);stroke:var(--ground);stroke-width:.35}
"""


def numbers(seed: int) -> Iterator[float]:
    """Numbers from 0 to 1 that follow from a seed (mulberry32), the same as in the page."""
    mask, state = 0xFFFFFFFF, seed
    while True:
        state = (state + 0x6D2B79F5) & mask
        t = ((state ^ (state >> 15)) * (1 | state)) & mask
        t = (t + (((t ^ (t >> 7)) * (61 | t)) & mask)) & mask ^ t
        yield (t ^ (t >> 14)) / 4294967296


def spiral(count: int, noise: float, seed: int) -> tuple[list[tuple[float, float]], list[int]]:
    """Places and classes of points on three arms of a spiral, the same as in the page.

    Args:
        count: how many, the classes 0, 1 and 2 in turn.
        noise: the spread about an arm.
        seed: of the random numbers.
    """
    random = numbers(seed)

    def normal() -> float:
        far = math.sqrt(-2 * math.log(1 - next(random)))
        return far * math.cos(2 * math.pi * next(random))

    places, labels = [], [n % 3 for n in range(count)]
    for label in labels:
        far = 0.1 + 0.85 * math.sqrt(next(random))
        angle = 2 * math.pi * (label / 3 + 0.55 * far)
        x = far * math.cos(angle) + noise * normal()
        places.append((x, far * math.sin(angle) + noise * normal()))
    return places, labels
