"""The figure "Temperature" in Chromium: slider, pictures, scale, play and narrow pages."""

import base64
import re

import pytest
import torch
from PIL import Image
from test_figures import widget_page

import nnc
from nnc_book.widgets import Temperature

CLASSES = ["airplane", "automobile", "bird", "cat"]
LOGITS = [[8.0, 2.0, 1.0, -3.0], [0.0, 4.0, 4.5, 1.0], [-9.0, 0.0, 1.0, 7.0]]


def picture(tmp_path, shade):
    path = tmp_path / "one.png"
    Image.new("RGB", (32, 32), shade).save(path)
    return base64.b64encode(path.read_bytes()).decode()


@pytest.fixture
def page_of(tmp_path):
    thumbnails = [picture(tmp_path, shade) for shade in ("red", "green", "blue")]
    widget = Temperature(CLASSES, LOGITS, [0, 1, 3], thumbnails=thumbnails)
    return widget_page(widget)


def numbers(page):
    texts = page.locator(".chart .number").all_inner_texts()
    return [0.0 if "10" in text else float(text) for text in texts]


def temperature(page):
    return float(re.search(r"[\d.]+", page.locator(".bar label span").inner_text())[0])


def test_the_slider_moves_the_bars(shown, page_of):
    page = shown(page_of)
    assert temperature(page) == 1
    slider = page.get_by_role("slider", name="temperature")
    slider.focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    t = temperature(page)
    assert 4 < t < 6
    assert slider.get_attribute("aria-valuetext") == f"temperature {t}"
    page.keyboard.press("End")
    assert temperature(page) == 100
    assert max(numbers(page)) < 0.28
    page.keyboard.press("Home")
    assert numbers(page)[0] == 1


def test_an_image_is_chosen_by_mouse_and_keys(shown, page_of):
    page = shown(page_of)
    page.locator("fieldset label").nth(1).click()
    assert page.locator(".chart .label").inner_text() == "✓ automobile"
    expected = nnc.soft_targets(torch.tensor(LOGITS), 1)[1].tolist()
    assert numbers(page) == pytest.approx(expected, abs=6e-4)
    page.keyboard.press("ArrowRight")
    assert page.locator(".chart .label").inner_text() == "✓ cat"
    assert "teacher cat first" in page.locator(".status").inner_text()


def test_the_logarithmic_scale_shows_small_probabilities(shown, page_of):
    page = shown(page_of)
    widths = "[...document.querySelectorAll('.length')].map((n) => n.getBoundingClientRect().width)"
    page.locator(".length").last.wait_for()
    linear = page.evaluate(widths)
    page.get_by_role("button", name="Logarithmic scale").click()
    assert page.evaluate(widths)[2] > linear[2] + 50


def test_play_goes_up_and_comes_back(shown, page_of):
    page = shown(page_of)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('.bar label span').textContent > 'T = 3'")
    page.get_by_role("button", name="Pause").click()
    stopped = temperature(page)
    page.wait_for_timeout(200)
    assert temperature(page) == stopped


@pytest.mark.parametrize("width", [1280, 375])
def test_nothing_sticks_out_or_jumps(shown, page_of, width):
    page = shown(page_of, width)
    page.locator(".length").last.wait_for()
    height = page.evaluate("document.querySelector('.nnc-temperature').offsetHeight")
    page.get_by_role("slider", name="temperature").focus()
    for key in ("End", "Home"):
        page.keyboard.press(key)
        assert page.evaluate("document.querySelector('.nnc-temperature').offsetHeight") == height
    assert page.evaluate("document.documentElement.scrollWidth") == width
    small = page.evaluate(
        "[...document.querySelectorAll('button, fieldset label, summary')]"
        ".filter((n) => n.offsetHeight < 44 || n.offsetWidth < 44).length"
    )
    assert small == 0
