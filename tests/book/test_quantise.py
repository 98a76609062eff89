"""The figure "Prune and quantise" in Chromium: rules, thresholds and one weight that is moved."""

import re

import pytest
import torch
from test_figures import widget_page
from test_widgets_quantise import mixture_of

from nnc.pruning.sharing import assign
from nnc_book.widgets import Quantise

ROWS = [
    {"by": by, "threshold": threshold, "accuracy": 0.9 - 0.1 * k - 0.01 * n, "sparsity": 0.5,
     "levels": 3}
    for k, by in enumerate(("responsibility", "likelihood"))
    for n, threshold in enumerate((0.0, 3.0, 1000.0))
]  # fmt: skip
WIDGET = {
    "mixture": mixture_of([0.0, 0.2, 0.25, -0.3], [0.05, 0.04, 0.03, 0.1], [0.9, 0.05, 0.03, 0.02]),
    "weights": [-0.5, -0.05, 0.0, 0.1, 0.24, 0.6],
    "settings": ROWS,
}


@pytest.fixture
def page_of(shown):
    def show(width=1280, **settings):
        page = shown(widget_page(Quantise(**WIDGET)), width, **settings)
        page.locator(".status strong").wait_for()
        return page

    return show


def said(page):
    return page.locator(".status").inner_text()


def test_the_settings_change_what_is_said_and_drawn(page_of):
    page = page_of()
    assert said(page).startswith("4 components become 4. Accuracy 0.900")
    page.get_by_role("button", name="By likelihood").click()
    page.wait_for_timeout(20)
    assert "Accuracy 0.800" in said(page)
    page.get_by_role("slider", name="threshold of merging").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(20)
    widget = Quantise(**WIDGET, by="likelihood", threshold=3.0)
    left = len(widget.mixture().means)
    assert said(page).startswith(f"4 components become {left}. Accuracy 0.790")
    assert page.locator(".part").count() == left
    drawn = [one.get_attribute("class") for one in page.locator("svg .way").all()]
    kinds = ["way components" if owner else "way zero" for owner in widget.owners()]
    assert sorted(drawn) == sorted(kinds)
    page.keyboard.press("End")
    page.wait_for_timeout(20)
    assert said(page).startswith("4 components become 1. Accuracy 0.780")


def test_one_weight_is_moved_by_keys_and_by_pointer(page_of):
    page = page_of()
    page.get_by_role("slider", name="one weight").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_timeout(20)
    check_one_weight(page, 0.13)
    box = page.locator("svg[role=img]").bounding_box()
    x = box["x"] + 16 + (box["width"] - 32) * 0.62
    page.mouse.move(x, box["y"] + 60)  # without a button nothing moves
    page.mouse.down()
    page.wait_for_timeout(20)
    check_one_weight(page, 0.24)


def check_one_weight(page, w):
    mixture = Quantise(**WIDGET).mixture()
    point = torch.tensor([w], dtype=torch.float64)
    owner = int(assign(point, mixture))
    words = said(page).replace("−", "-")
    share = float(re.search(r"responsibility ([\d.]+)", words)[1])
    assert f"A weight of {w:g} goes to" in words
    assert words.endswith(f"becomes {mixture.means[owner]:g}.")
    assert share == pytest.approx(mixture.responsibilities(point)[0, owner].item(), abs=0.006)


def test_it_fits_a_phone_and_a_finger(page_of):
    page = page_of(375, has_touch=True)
    box = page.locator("svg[role=img]").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + 60)
    page.wait_for_timeout(20)
    assert "A weight of 0 goes to the zero component" in said(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for target in page.locator("button, summary, input[type=range]").all():
        assert target.bounding_box()["height"] > 43.99
    page.get_by_text("Show as table").click()
    assert page.locator(".table tr").count() == 1 + 4 + 1 + len(ROWS)
