"""The first page: a network that is there whole and answers; and what links and search show."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import landing
import pytest
import social
import torch
import zxingcpp
from notebooks import ROOT, documents
from PIL import Image
from playwright.sync_api import Browser
from test_browser import DESKTOP, PHONE, opened

from nnc import data
from nnc_book import records
from nnc_book.widgets import Digit

START = "book/index"


def test_the_picture_is_the_network_that_answers() -> None:
    html = landing.first(ROOT)
    code = re.search(r'<figure><img src="data:image/png;base64,([^"]+)"', html)
    assert code
    picture = Image.open(io.BytesIO(base64.b64decode(code[1])))
    (read,) = zxingcpp.read_barcodes(picture)
    stored = (records.FOLDER / landing.smallest()["file"]).read_bytes()
    assert bytes(read.bytes) == stored
    state = re.search(r'widget-state\+json">(.*?)</script>', html)
    assert state
    traits = json.loads(state[1])["state"]["first"]["state"]
    assert [base64.b64decode(one) for one in traits["files"]] == [stored]
    assert f"all {len(stored):,} bytes" in html


def test_every_picture_is_a_link_and_says_what_it_shows() -> None:
    html = landing.pictures(ROOT)
    links = re.findall(r'<a class="[^"]*" href="(\w+)\.html">', html)
    assert len(links) == 5 + 1
    assert {f"book/{name}" for name in links} <= set(documents())
    assert len(re.findall(r'role="img" aria-label="[^"]{20,}"', html)) == 5


@pytest.mark.site
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_the_first_page_reads_a_digit_at_once(browser: Browser, server: str, width: int) -> None:
    with opened(browser, f"{server}/{START}.html", width=width) as (page, faults):
        pad, status = page.locator(".pad"), page.locator(".nnc-first .status")
        status.get_by_text("The label says 0").wait_for()
        box = pad.bounding_box()
        assert box
        assert box["y"] + box["height"] < 800, "the field is in the first window"
        x, y = box["x"] + box["width"] / 2, box["y"] + 0.2 * box["height"]
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x, y + 0.6 * box["height"], steps=8)
        page.mouse.up()
        status.get_by_text("The network: 1, probability").wait_for()
        assert faults == []


@pytest.mark.site
def test_the_first_page_answers_as_python_does(browser: Browser, server: str) -> None:
    widget: Digit = landing.answering()
    with opened(browser, f"{server}/{START}.html") as (page, _):
        for index in range(10):
            page.get_by_role("radio").nth(index).check(force=True)
            page.wait_for_timeout(50)
            widget.image = list(base64.b64decode(widget.digits[index]))
            shares = widget.logits().softmax(-1)[0]
            said = page.locator(".nnc-first .status").inner_text()
            assert f"The network: {int(shares.argmax())}, probability {shares.max():.2f}" in said


def test_a_network_with_convolutions_answers_too() -> None:
    stored = (records.FOLDER / landing.smallest()["file"]).read_bytes()
    digits = data.load("mnist-5k").test
    widget = Digit({"one": stored}, digits.images[:3, 0], digits.labels[:3].tolist())
    assert widget.logits().shape == (1, 10)
    assert torch.isfinite(widget.logits()).all()


@pytest.mark.parametrize("page", ["book/frontier", "book/glossary"])
def test_the_picture_of_a_link_has_its_size_and_is_light(page: str) -> None:
    written = social.picture("A title", "Some words. " * 30, "A book", social.figure_of(ROOT, page))
    assert Image.open(io.BytesIO(written)).size == (1200, 630)
    assert len(written) < 100_000


@pytest.mark.site
@pytest.mark.parametrize("name", documents())
def test_every_page_has_its_own_picture_and_description(site: Path, name: str) -> None:
    html = (site / f"{name}.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<meta [^>]*name="description"', html)) == 1
    image = re.search(r'property="og:image" content="[^"]*/(_static/social/(\w+)\.png)"', html)
    assert image
    assert name.endswith(image[2])
    assert (site / image[1]).is_file()


@pytest.mark.site
@pytest.mark.parametrize(
    ("word", "page"),
    [
        ("contrasts", "distil_then_share"),  # in the alternative text of a drawing
        ("logarithmic", "frontier"),  # in that of a figure that moves
        ("hidden unit", "storing"),  # in a drawing
    ],
)
def test_the_search_finds_what_figures_say(
    browser: Browser, server: str, word: str, page: str
) -> None:
    with opened(browser, f"{server}/search.html?q={word}") as (found, _):
        found.locator(f'#search-results a[href*="{page}"]').first.wait_for()
