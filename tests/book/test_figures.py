"""The figures that move, in Chromium: handles, keys, films, themes and the size of targets."""

import json
import re

import numpy as np
import pytest
import torch
from notebooks import ROOT
from test_plots import film

from nnc_book.widgets import Prior

HOST = ROOT / "book" / "_static" / "widget-host.js"


def prior_page(**traits):
    return widget_page(Prior(**traits))


def widget_page(widget):
    """A page's body with one interactive figure, as the build leaves it."""
    state = {name: value for name, value in widget.get_state().items() if name[0] != "_"}
    for name in ("layout", "tabbable", "tooltip"):
        state.pop(name, None)
    state |= {"_esm": str(widget._esm), "_css": str(widget._css)}
    model = json.dumps({"state": {"m": {"state": state}}}).replace("</", "<\\/")
    return (
        f'<script type="application/vnd.jupyter.widget-state+json">{model}</script>'
        '<div><script type="application/vnd.jupyter.widget-view+json">{"model_id": "m"}</script>'
        f"</div><script>{HOST.read_text()}</script>"
    )


def number(text):
    return float(re.search(r"-?[\d.]+", text.replace("−", "-"))[0])


def total(page):
    return number(page.locator(".status strong").inner_text())


def handle(page, name):
    return page.get_by_role("slider", name=name, exact=True)


def penalty_of(means, sigmas, pi_0, weights):
    mixture = Prior(means=means, sigmas=sigmas, pi_0=pi_0).mixture()
    return -mixture.log_density(torch.tensor(weights, dtype=torch.float64)).sum().item()


@pytest.mark.parametrize(("width", "touch"), [(1280, False), (375, True)])
def test_a_mean_and_a_width_are_dragged(shown, width, touch):
    page = shown(prior_page(), width, has_touch=touch)
    for name, read, start in (
        ("mean of component 2", 1, 0.4),
        ("width sigma of component 1", 2, 0.06),
    ):
        box = handle(page, name).locator(".knob").bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 20, y + 3)
        page.mouse.up()
        page.mouse.move(x + 60, y)  # let go: moves nothing
        said = handle(page, name).get_attribute("aria-valuetext")
        values = [float(value) for value in re.findall(r"-?[\d.]+", said)]
        lane = page.locator("rect.lane").first.bounding_box()["width"]
        assert values[read] == pytest.approx(start + 20 * 2 / lane, abs=2e-3)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_numbers_follow_the_keys(shown):
    page = shown(prior_page())
    weights = Prior().weights
    handle(page, "mean of component 1").focus()
    for key in ("ArrowRight", "Shift+ArrowRight", "PageDown", "ArrowUp"):
        page.keyboard.press(key)
    said = handle(page, "mean of component 1").get_attribute("aria-valuetext")
    assert said == "component 1, mean -0.36, sigma 0.06"
    assert total(page) == pytest.approx(
        penalty_of([-0.36, 0.4], [0.05, 0.06, 0.06], 0.8, weights), abs=0.06
    )
    handle(page, "width sigma of component 0").focus()
    page.keyboard.press("Home")
    assert handle(page, "width sigma of component 0").get_attribute("aria-valuenow") == "0.01"
    handle(page, "pi 0, share of the zero component").focus()
    page.keyboard.press("Home")
    expected = penalty_of([-0.36, 0.4], [0.01, 0.06, 0.06], 0.05, weights)
    assert total(page) == pytest.approx(expected, abs=0.06)


def test_from_one_gaussian_to_eight_components_and_back(shown):
    page = shown(prior_page())
    weights = Prior().weights
    page.get_by_role("button", name="L2").click()
    assert page.locator("[role=slider]").count() == 1  # the width
    assert total(page) == pytest.approx(penalty_of([], [0.25], 0.8, weights), abs=0.06)
    page.get_by_role("slider", name="number of components").focus()
    page.keyboard.press("End")
    assert page.locator("[role=slider]").count() == 7 + 8
    page.get_by_role("button", name="Mixture").click()
    expected = penalty_of([-0.4, 0.4], [0.05, 0.06, 0.06], 0.8, weights)
    assert total(page) == pytest.approx(expected, abs=0.06)


def test_keys_of_the_browser_are_left_to_it(shown):
    page = shown(prior_page())
    mean = handle(page, "mean of component 2")
    mean.focus()
    for keys in ("Control+ArrowRight", "Control+Home", "Meta+ArrowLeft"):
        page.keyboard.press(keys)
    assert number(mean.get_attribute("aria-valuenow")) == 0.4


def test_a_focused_handle_stays_so_when_the_window_changes(shown):
    page = shown(prior_page())
    mean = handle(page, "mean of component 2")
    mean.focus()
    page.set_viewport_size({"width": 500, "height": 800})
    page.wait_for_timeout(100)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(50)
    assert number(mean.get_attribute("aria-valuenow")) == 0.42


def test_the_handle_on_top_is_the_one_that_is_dragged(shown):
    page = shown(prior_page(means=[0.5, 0.5], sigmas=[0.05] * 3))
    box = handle(page, "mean of component 2").locator("circle").last.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y)
    page.mouse.up()
    page.wait_for_timeout(50)
    assert number(handle(page, "mean of component 1").get_attribute("aria-valuenow")) == 0.5
    assert number(handle(page, "mean of component 2").get_attribute("aria-valuenow")) < 0.45


def test_play_ends_beside_a_narrow_component_too(shown):
    page = shown(prior_page(means=[0.5], sigmas=[0.01, 0.3], weights=[-0.9, 0.005, 0.9]))
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play").wait_for(timeout=30_000)
    pulls = Prior(means=[0.5], sigmas=[0.01, 0.3]).mixture()
    page.get_by_role("button", name="Show as table").click()
    rows = page.locator(".table table").last.locator("td").all_inner_texts()
    weights = torch.tensor([number(one) for one in rows[::3]], dtype=torch.float64)
    assert (pulls.pull(weights).abs() * 0.3**2 < 0.01).all()


def test_it_steps_and_plays_only_when_asked(shown):
    page = shown(prior_page())
    before = total(page)
    page.wait_for_timeout(300)
    assert total(page) == before
    page.get_by_role("button", name="Step").click()
    assert total(page) < before
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play").wait_for(timeout=20_000)  # stops at rest by itself
    assert total(page) < 0
    page.get_by_role("button", name="Reset weights").click()
    assert total(page) == before
    page.get_by_role("button", name="Show as table").click()
    assert page.locator(".table tr").count() == 1 + 3 + 1 + 24
    rows = page.locator(".table table").nth(1).locator("td").all_inner_texts()
    found = np.array([number(text) for text in rows]).reshape(24, 3)
    w = torch.tensor(Prior().weights, dtype=torch.float64)
    mixture = Prior().mixture()
    expected = torch.stack([w, -mixture.log_density(w), mixture.pull(w)], 1)
    np.testing.assert_allclose(found, expected, atol=6e-4)


def test_nothing_moves_where_motion_is_unwelcome(shown):
    page = shown(prior_page() + film()._repr_html_(), reduced_motion="reduce")
    page.locator(".total").wait_for()
    assert page.get_by_role("button", name="Play").count() == 0
    assert page.get_by_role("button", name="Step").is_visible()


def test_targets_are_large_enough_for_a_thumb(shown):
    page = shown(prior_page() + film()._repr_html_(), 375)
    page.locator(".total").wait_for()
    for target in page.locator("button, input, summary, .hit").all():
        box = target.bounding_box()
        assert min(box["height"], box["width"]) > 43.99, box


@pytest.mark.parametrize("mark", ["data-theme=dark", "theme=dark", ""])
def test_dark_pages_have_dark_figures(shown, mark):
    page = shown(prior_page(), color_scheme="light" if mark else "dark")
    page.locator(".total").wait_for()
    name, _, value = mark.partition("=")
    page.evaluate("document.documentElement.removeAttribute('data-theme')")
    if mark:
        page.evaluate(f"document.documentElement.setAttribute('{name}', '{value}')")
    ground = page.locator(".nnc-figure").evaluate("e => getComputedStyle(e).backgroundColor")
    assert ground == "rgb(27, 31, 36)"


def frame(page):
    """The numbers of all that a film's script draws."""
    picture = page.locator(".nnc-film svg").first
    paths = [path.get_attribute("d") for path in picture.locator(".heat path, .margin").all()]
    rects = picture.locator(".bands rect").all()
    bands = [float(rect.get_attribute(key)) for rect in rects for key in ("y", "height")]
    lines = picture.locator(".means path, .cursor").all()
    return paths, bands, [line.get_attribute("transform") for line in lines]


def test_a_film_draws_its_last_frame_as_python_did(shown):
    html = film()._repr_html_()
    still = shown(html, java_script_enabled=False)
    assert not still.get_by_role("button", name="Play").is_visible()
    drawn = frame(still)
    page = shown(html + html)  # twice on one page: both work
    assert frame(page) != drawn
    page.get_by_role("slider").first.focus()
    page.keyboard.press("End")
    paths, bands, lines = frame(page)
    assert (paths, bands) == drawn[:2]
    values = [number(line.split("(")[1].split(" ")[-1 if "(0 " in line else 0]) for line in lines]
    expected = [
        number(line.split("(")[1].split(" ")[-1 if "(0 " in line else 0]) for line in drawn[2]
    ]
    assert values == expected
    assert page.locator(".epoch").all_inner_texts() == ["Epoch 6 of 6", "Epoch 0 of 6"]


def test_a_film_is_stepped_and_played_to_its_end(shown):
    page = shown(film()._repr_html_(), 375)
    slider, epoch = page.get_by_role("slider"), page.locator(".epoch")
    page.wait_for_timeout(300)
    assert epoch.inner_text() == "Epoch 0 of 6"
    page.get_by_role("button", name="one frame on").click()
    assert epoch.inner_text() == "Epoch 3 of 6"
    assert slider.get_attribute("aria-valuetext") == "Epoch 3 of 6, accuracy </script> 0.500"
    page.get_by_role("button", name="one frame back").click()
    assert epoch.inner_text() == "Epoch 0 of 6"
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play").wait_for(timeout=5_000)
    assert epoch.inner_text() == "Epoch 6 of 6"
    page.locator("summary").click()
    assert page.locator(".table tbody tr").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") == 375
