"""The figure "Draw a digit" in Chromium: pen, finger, keyboard, and what it answers."""

import re

import pytest
import torch
from test_figures import widget_page

from nnc import data
from nnc_book import records
from nnc_book.widgets import Digit


@pytest.fixture(scope="module")
def widget():
    digits = data.load("mnist-5k").test
    files = {
        name: (records.FOLDER / recipe / "seed-0.sws").read_bytes()
        for name, recipe in (("small", "lenet300-sws"), ("8 bits", "lenet300-quantised"))
    }
    return Digit(files, digits.images[:10, 0], digits.labels[:10].tolist())


@pytest.fixture
def page_of(shown, widget):
    def show(width=1280, **settings):
        page = shown(widget_page(widget), width, **settings)
        page.get_by_text("As float32 numbers").wait_for()
        return page

    return show


def table(page):
    page.get_by_text("Show as table").click()
    rows = page.locator(".table td").all_inner_texts()
    page.get_by_text("Show as table").click()
    return torch.tensor([float(one) for one in rows]).view(10, -1)[:, 1::2].T


def test_stored_digits_are_chosen_by_keyboard_and_answered_as_in_python(page_of, widget):
    page = page_of()
    for index in range(3):
        page.get_by_role("radio").nth(max(0, index - 1)).focus()
        if index:
            page.keyboard.press("ArrowRight")
        page.wait_for_timeout(50)
        widget.image = data.load("mnist-5k").test.images[index].flatten().tolist()
        expected = widget.logits()
        torch.testing.assert_close(table(page), expected, rtol=0, atol=1e-4)
        shares = expected.softmax(-1)
        said = page.locator(".status").inner_text()
        assert said.startswith(f"The label says {widget.labels[index]}.")
        for name, row in zip(widget.names, shares, strict=True):
            assert f"{name}: {int(row.argmax())}, probability {row.max():.2f}" in said


def draw_a_one(page, start, move, end):
    box = page.locator(".pad").bounding_box()
    x = box["x"] + 0.8 * box["width"]
    start(x, box["y"] + 0.15 * box["height"])
    for step in range(1, 15):
        move(x, box["y"] + (0.15 + 0.05 * step) * box["height"])
    end()


def test_a_drawn_stroke_is_centred_and_answered(page_of):
    page = page_of()
    before = page.locator(".status").inner_text()
    draw_a_one(
        page,
        lambda x, y: (page.mouse.move(x, y), page.mouse.down()),
        page.mouse.move,
        page.mouse.up,
    )
    page.wait_for_timeout(100)
    said = page.locator(".status").inner_text()
    assert said != before
    assert "label" not in said
    assert re.search(r"small: 1, probability 0\.[5-9]|small: 1, probability 1", said)
    page.mouse.move(30, 30)  # the pen is up: nothing more is drawn
    page.wait_for_timeout(50)
    assert page.locator(".status").inner_text() == said
    page.get_by_role("button", name="Clear").click()
    page.wait_for_timeout(50)
    assert page.locator(".status").inner_text() == "Nothing is drawn."


def test_a_finger_draws_on_a_phone(page_of):
    page = page_of(375, has_touch=True)
    touch = page.context.new_cdp_session(page)

    def send(kind, *points):
        touch.send(
            "Input.dispatchTouchEvent",
            {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]},
        )

    page.locator(".pad").scroll_into_view_if_needed()
    draw_a_one(
        page,
        lambda x, y: send("touchStart", (x, y)),
        lambda x, y: send("touchMove", (x, y)),
        lambda: send("touchEnd"),
    )
    page.wait_for_timeout(100)
    assert "small: 1" in page.locator(".status").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for target in page.locator("button, fieldset label, summary").all():
        box = target.bounding_box()
        assert min(box["height"], box["width"]) > 43.99, box


def status_after(page, act):
    act()
    page.wait_for_timeout(50)
    return page.locator(".status").inner_text()


def test_a_dot_is_ink(page_of):
    page = page_of()
    page.get_by_role("button", name="Clear").click()
    assert status_after(page, page.locator(".pad").click) != "Nothing is drawn."


def test_only_the_first_finger_and_the_main_button_draw(page_of):
    page = page_of()
    page.get_by_role("button", name="Clear").click()
    said = status_after(page, lambda: page.locator(".pad").click(button="right"))
    assert said == "Nothing is drawn."
    box = page.locator(".pad").bounding_box()
    page.evaluate("""([x, y]) => {
        const pad = document.querySelector(".pad");
        pad.setPointerCapture = () => 0;
        const send = (kind, isPrimary) => pad.dispatchEvent(new PointerEvent(
            kind, {clientX: x, clientY: y, isPrimary, button: 0, pointerId: isPrimary ? 1 : 2}));
        send("pointerdown", false);
        send("pointermove", false);
    }""", [box["x"] + 40, box["y"] + 40])  # fmt: skip
    page.wait_for_timeout(50)
    assert page.locator(".status").inner_text() == "Nothing is drawn."


def test_ink_is_seen_on_its_paper_in_any_theme(page_of):
    page = page_of()
    looks = "JSON.stringify(['color', 'backgroundColor'].map((k) => getComputedStyle(pad)[k]))"
    look = f"(() => {{ const pad = document.querySelector('.pad'); return {looks}; }})()"
    light = page.evaluate(look)
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    assert page.evaluate(look) == light == '["rgb(34, 38, 44)","rgb(252, 252, 250)"]'


def test_the_table_of_an_empty_image_is_empty(page_of):
    page = page_of()
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Show as table").click()
    cells = page.locator(".table td").all_inner_texts()
    assert {cell for i, cell in enumerate(cells) if i % 5} == {"–"}
