"""How pages are laid out: nothing is cut off, text has a width to read, plots follow the theme."""

from __future__ import annotations

import re

import pytest
from notebooks import documents
from playwright.sync_api import Browser, Page
from test_browser import opened

from nnc_book import plots
from nnc_book.plots import PALETTE

pytestmark = pytest.mark.site

WIDTHS = (1280, 768, 375)
# Code and tables that hold more than they show, or reach over the edge of the window.
CUT_OFF = """() => [...document.querySelectorAll(
  '.bd-article :is(pre, table, .nnc-table, .pst-scrollable-table-container)')]
  .filter((one) => one.checkVisibility() && (one.scrollWidth > one.clientWidth + 1
    || one.getBoundingClientRect().right > innerWidth))
  .map((one) => `${one.tagName} ${one.scrollWidth}: ${one.innerText.slice(0, 60)}`)
"""
# Letters to a line of the paragraphs that have several.
LETTERS = """() => [...document.querySelectorAll('.bd-article section > p')]
  .map((one) => [one.innerText.length,
    Math.round(one.clientHeight / parseFloat(getComputedStyle(one).lineHeight))])
  .filter(([, lines]) => lines > 3)
  .map(([letters, lines]) => letters / (lines - 0.5))
"""


def rgb(colour: str) -> str:
    """A colour as the browser names it."""
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("name", documents())
def test_no_code_and_no_table_is_cut_off(browser: Browser, server: str, name: str) -> None:
    with opened(browser, f"{server}/{name}.html") as (page, _):
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate(CUT_OFF) == [], width


@pytest.mark.parametrize("width", [1280, 1600, 1920])
def test_lines_of_text_are_about_75_letters_long(browser: Browser, server: str, width: int) -> None:
    with opened(browser, f"{server}/book/why_compress.html", width=width) as (page, _):
        lengths = page.evaluate(LETTERS)
        assert 66 < sum(lengths) / len(lengths) < 90


def test_code_of_80_letters_stands_on_one_line_beside_the_contents(
    browser: Browser, server: str
) -> None:
    with opened(browser, f"{server}/book/your_own_network.html") as (page, _):
        for one in page.locator("div.cell:not(:has(details)) .cell_input pre").all():
            height, line = one.evaluate(
                "e => [e.clientHeight - parseFloat(getComputedStyle(e).paddingTop)"
                " - parseFloat(getComputedStyle(e).paddingBottom),"
                " parseFloat(getComputedStyle(e).lineHeight)]"
            )
            assert round(height / line) == len(one.inner_text().rstrip("\n").split("\n"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["dark_knowledge", "storing", "sws_results"])
def test_plots_follow_the_theme(browser: Browser, server: str, name: str, scheme: str) -> None:
    with opened(browser, f"{server}/book/{name}.html", scheme=scheme) as (page, _):
        drawn = page.locator(".nnc-still")
        assert drawn.count() > 1
        assert {inks(page, ".nnc-still svg text")} == {rgb(PALETTE["weights"][scheme])}
        ground = drawn.first.evaluate("e => getComputedStyle(e).backgroundColor")
        assert ground == rgb(PALETTE["ground"][scheme])


def inks(page: Page, selector: str) -> str:
    """The colour that most of these are filled with."""
    found: str = page.evaluate(
        """(selector) => {
          const counts = new Map();
          for (const one of document.querySelectorAll(selector)) {
            const fill = getComputedStyle(one).fill;
            counts.set(fill, (counts.get(fill) ?? 0) + 1);
          }
          return [...counts].sort((a, b) => b[1] - a[1])[0][0];
        }""",
        selector,
    )
    return found


TABLE = plots.Table(
    ("network", "test error, %", "bytes of the file", "what it counts"),
    [("LeNet-300-100", "1.73", "4,349", "bytes of a file"), ("LeNet-5", "0.9", "2,600", "as well")],
    "Two networks.",
    "DRAWN",
)


def test_a_table_is_a_table_where_it_fits_and_rows_on_a_phone(shown) -> None:
    page = shown(TABLE._repr_html_())
    cell = page.get_by_role("cell", name="4,349")
    heads = page.get_by_role("columnheader")
    assert cell.evaluate("e => getComputedStyle(e).display") == "table-cell"
    assert heads.count() == 4
    page.set_viewport_size({"width": 320, "height": 800})
    assert cell.evaluate("e => getComputedStyle(e).display") == "grid"
    label = cell.evaluate("e => getComputedStyle(e, '::before').content")
    assert label == '"bytes of the file"'
    # Whoever listens to the page still hears a table.
    assert heads.count() == 4
    assert page.get_by_role("row").count() == 3
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_a_ramp_of_colours_is_turned_round_in_the_dark(shown) -> None:
    import torch

    html = plots.Picture(plots.pixels(torch.arange(784), "n"), "c", "DRAWN", "a")._repr_html_()
    page = shown(html)
    images = page.locator(".nnc-still image")
    assert images.count() == 2  # the pixels and their scale
    turned = "e => getComputedStyle(e).filter"
    assert {one.evaluate(turned) for one in images.all()} == {"none"}
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    (found,) = {one.evaluate(turned) for one in images.all()}
    assert re.match(r"invert\(1\)", found)
