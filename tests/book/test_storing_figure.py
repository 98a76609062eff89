"""The figure "Storing" in Chromium: coders, entries that are changed, fields that are explained."""

import pytest
from test_figures import widget_page

from nnc_book.widgets import Storing


@pytest.fixture
def page_of(shown):
    def show(width=1280, **settings):
        page = shown(widget_page(Storing()), width, **settings)
        page.locator(".bits").first.wait_for()
        return page

    return show


def sizes(page):
    """Bytes by coder, as the buttons say them."""
    texts = page.locator(".bar").first.locator("button").all_inner_texts()
    return {name: int(rest.split()[0]) for name, rest in (text.split(": ") for text in texts)}


def expected(**traits):
    return {name: len(data) for name, data in Storing(**traits).encoded().items()}


def test_the_bytes_follow_the_matrix(page_of):
    page = page_of()
    assert sizes(page) == expected()
    entry = page.get_by_role("button", name="row 1, column 3: 0")
    for level in (1, 2, -1):
        entry.click()
        page.wait_for_timeout(20)
        matrix = [list(row) for row in Storing().matrix]
        matrix[1][3] = level
        assert sizes(page) == expected(matrix=matrix)
        entry = page.get_by_role("button", name=f"row 1, column 3: {level}")


def test_the_keys_go_through_the_fields_and_mark_their_entries(page_of):
    page = page_of()
    page.get_by_role("button", name="raw").click()
    page.get_by_role("slider", name="field").focus()
    page.keyboard.press("Home")
    for step in range(5):
        page.wait_for_timeout(20)
        marked = page.locator(".matrix .spoken")
        assert marked.count() == 1
        level = Storing().matrix[0][step]
        assert marked.get_attribute("aria-label") == f"row 0, column {step}: {level}"
        bits = format(level + 1, "02b")
        assert page.locator(".status").inner_text() == (
            f"raw, 8 bytes. levels, {bits}: {level + 1} in 2 bits: level {level}, less the "
            "lowest, -1."
        )
        page.keyboard.press("ArrowRight")


def test_a_finger_chooses_a_field_on_a_phone(page_of):
    page = page_of(375, has_touch=True)
    page.get_by_role("button", name="compressed sparse rows").tap()
    page.wait_for_timeout(20)
    page.locator(".bits button").nth(2).tap()
    page.wait_for_timeout(20)
    assert "before row 2 there are 3 non-zeros" in page.locator(".status").inner_text()
    assert page.locator(".matrix .spoken").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for target in page.locator("button, summary, input[type=range]").all():
        box = target.bounding_box()
        assert min(box["width"], box["height"]) > 43.99


def test_every_field_has_a_name_even_without_bits(page_of):
    page = page_of()
    for entry in page.locator(".matrix button").all():
        if not entry.get_attribute("class"):
            entry.click()
    page.get_by_role("button", name="relative index").click()
    page.wait_for_timeout(20)
    names = [field.inner_text() for field in page.locator(".bits button").all()]
    assert "–" in names  # gaps of no bits
    assert "" not in names


def test_the_keys_go_on_from_a_field_that_was_clicked(page_of):
    page = page_of()
    page.locator(".bits button").nth(2).click()
    page.wait_for_timeout(20)
    slider = page.get_by_role("slider", name="field")
    assert slider.evaluate("(node) => node === document.activeElement")
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "3"
