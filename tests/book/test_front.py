"""The figure "The front" in Chromium: groups, pointer, finger and keys name the right points."""

import math

import pytest
from test_figures import widget_page
from test_widgets_front import SERIES

from nnc_book.widgets import Front

POINTS = [
    (x, y, one["label"], note)
    for one in SERIES
    for x, y, note in zip(one["x"], one["y"], one["notes"], strict=True)
]


@pytest.fixture
def page_of(shown):
    def show(width=1280, **settings):
        page = shown(widget_page(Front(SERIES, "bytes", "error, %")), width, **settings)
        page.locator(".ring").wait_for()
        return page

    return show


def said_of(point):
    x, y, label, note = point
    return f"{label}, {note}: error {y:g} %, {x:,} bytes."


def status(page):
    return page.locator(".status").inner_text()


def test_the_keys_go_from_left_to_right(page_of):
    page = page_of()
    page.get_by_role("slider", name="point").focus()
    page.keyboard.press("Home")
    for point in sorted(POINTS):
        assert status(page) == said_of(point)
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(20)


def centre(mark):
    box = mark.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_marks_stand_where_their_values_are(page_of):
    page = page_of()
    marks = [centre(mark) for mark in page.locator("svg[role=img] .mark").all()]
    # Drawn in this order: trials, published, records; each from left to right.
    order = [POINTS[i] for i in (4, 3, 2, 1, 0)]
    for axis, place in ((0, 0), (1, 1)):
        spots = [
            (math.log(point[axis]), mark[place]) for point, mark in zip(order, marks, strict=True)
        ]
        (low, first), (high, last) = min(spots), max(spots)
        slope = (last - first) / (high - low)
        assert slope > 0 if axis == 0 else slope < 0
        for value, spot in spots:
            assert spot == pytest.approx(first + slope * (value - low), abs=1.6)


def test_a_pointer_chooses_the_nearest_and_groups_go_away(page_of):
    page = page_of()
    page.mouse.move(*centre(page.locator("svg[role=img] .trial").first))
    page.wait_for_timeout(20)
    assert status(page) == said_of(POINTS[4])
    page.get_by_role("checkbox", name="tried").uncheck()
    page.wait_for_timeout(20)
    assert status(page) == said_of(POINTS[1])  # the leftmost of the rest
    assert page.locator("svg[role=img] .mark").count() == 3
    page.get_by_text("Show as table").click()
    assert page.locator(".table tr").count() == 1 + 3
    for label in ("ours", "theirs"):
        page.get_by_role("checkbox", name=label).uncheck()
    assert status(page) == "Nothing is shown."
    assert page.locator("svg[role=img]").get_attribute("aria-label") == "No points are shown"
    page.get_by_role("checkbox", name="theirs").check()
    assert status(page) == said_of(POINTS[2])


def test_a_finger_chooses_on_a_phone(page_of):
    page = page_of(375, has_touch=True)
    page.touchscreen.tap(*centre(page.locator("svg[role=img] .published")))
    page.wait_for_timeout(20)
    assert status(page) == said_of(POINTS[2])
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for target in page.locator("fieldset label, summary, input[type=range]").all():
        assert target.bounding_box()["height"] > 43.99
