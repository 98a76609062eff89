"""The built pages in Chromium, without a network: they load, typeset, fit a phone, and are seen."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from notebooks import ROOT, documents
from playwright.sync_api import Browser, Page, Route

pytestmark = pytest.mark.site

PAGES = [*documents(), "search", "genindex"]
# file:// has rules of its own for scripts and fonts, not for texts: a few pages show them all.
FILE_PAGES = documents()[:3]
DESKTOP, PHONE = 1280, 375
PICTURED = [(DESKTOP, "light"), (PHONE, "dark")]
SCREENSHOTS = ROOT / "_screenshots"
MOST_BYTES, MOST_BYTES_WITHOUT_FIGURES = 2_500_000, 600_000  # compressed, everything of a page
AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def opened(
    browser: Browser, address: str, *, width: int = DESKTOP, scheme: str = "light"
) -> Iterator[tuple[Page, list[str]]]:
    """A page in a fresh profile, and the list of what went wrong in it."""
    home = urlsplit(address)
    faults: list[str] = []

    def gate(route: Route) -> None:
        wanted = urlsplit(route.request.url)
        if (wanted.scheme, wanted.netloc) == (home.scheme, home.netloc):
            route.continue_()
        else:
            faults.append(f"asks another host: {route.request.url}")
            route.abort()

    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.route(lambda url: not url.startswith(("data:", "blob:")), gate)
    page.on("pageerror", lambda error: faults.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
    page.on(
        "console",
        lambda message: (
            faults.append(f"console: {message.text}") if message.type == "error" else None
        ),
    )
    page.on(
        "response",
        lambda response: (
            faults.append(f"{response.status}: {response.url}") if response.status >= 400 else None
        ),
    )
    page.goto(address, wait_until="load")
    typeset(page)
    figures_stand(page)
    yield page, faults
    context.close()


def typeset(page: Page) -> None:
    """Wait until the mathematics of a page, where it has some, is typeset."""
    if page.locator(".math, .nb-math").count():
        page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
        page.evaluate("() => MathJax.startup.promise")


def figures_stand(page: Page) -> None:
    """Wait until every interactive figure of a page has taken the place of its picture."""
    page.wait_for_function("() => !document.querySelector('.widget-fallback')")
    page.wait_for_function("() => !document.body?.innerText.includes('Decoding the files')")


def check(page: Page, faults: list[str]) -> None:
    """What holds for every page, however it is opened."""
    assert faults == []
    assert page.locator("h1").count() >= 1
    assert page.locator("mjx-merror").count() == 0
    assert page.get_by_text("not a readable .sws file").count() == 0
    assert page.locator(".math:has(mjx-container)").count() == page.locator(".math").count()
    overflow = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert overflow <= 0, "the page scrolls sideways"


def barriers(page: Page, *, contrast: bool) -> list[str]:
    """What axe-core finds serious or critical for those who use a page in other ways."""
    page.evaluate(AXE)
    options = {"resultTypes": ["violations"], "rules": {"color-contrast": {"enabled": contrast}}}
    found = page.evaluate("options => axe.run(document, options)", options)["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_offline_and_fits(
    browser: Browser, server: str, name: str, width: int, scheme: str
) -> None:
    with opened(browser, f"{server}/{name}.html", width=width, scheme=scheme) as (page, faults):
        if (width, scheme) in PICTURED:
            SCREENSHOTS.mkdir(exist_ok=True)
            picture = SCREENSHOTS / f"{name.replace('/', '-')}-{width}-{scheme}.png"
            page.screenshot(path=picture, full_page=True)
        check(page, faults)
        # Contrast takes most of axe-core's time, and colours are the same at every width.
        assert barriers(page, contrast=width == DESKTOP) == []
        assert page.evaluate("document.documentElement.dataset.theme") == scheme


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_light(browser: Browser, server: str, name: str) -> None:
    weights: dict[str, int] = {}
    context = browser.new_context()
    page = context.new_page()
    page.on("requestfinished", lambda r: weights.update({r.url: compressed(r.response().body())}))
    page.goto(f"{server}/{name}.html", wait_until="networkidle")
    figures = page.locator(".widget-figure").count()
    context.close()
    limit = MOST_BYTES if figures else MOST_BYTES_WITHOUT_FIGURES
    heaviest = sorted(weights.items(), key=lambda one: -one[1])[:3]
    assert sum(weights.values()) <= limit, f"{sum(weights.values()):,} bytes, first {heaviest}"


def compressed(body: bytes) -> int:
    """What a server sends that compresses; pictures and fonts are compressed already."""
    return len(gzip.compress(body))


@pytest.mark.parametrize("name", FILE_PAGES)
def test_a_page_works_from_a_folder(browser: Browser, site: Path, name: str) -> None:
    with opened(browser, (site / f"{name}.html").as_uri()) as (page, faults):
        check(page, faults)


def test_the_start_page_leads_to_the_book(browser: Browser, server: str) -> None:
    with opened(browser, f"{server}/index.html") as (page, faults):
        page.wait_for_url("**/book/index.html")
        assert faults == []


def test_search_finds_a_word(browser: Browser, server: str) -> None:
    with opened(browser, f"{server}/search.html?q=network") as (page, faults):
        page.wait_for_selector("#search-results li")
        assert faults == []


def test_a_term_says_what_it_means(browser: Browser, server: str) -> None:
    with opened(browser, f"{server}/book/one_knob.html", width=PHONE) as (page, faults):
        terms, box = page.locator("a[data-says]"), page.locator("#nnc-says")
        assert terms.count() >= 1
        for k in range(terms.count()):
            terms.nth(k).hover()
            assert box.is_visible()
            assert box.inner_text() == terms.nth(k).get_attribute("data-says")
            left, right = box.evaluate(
                "e => [e.getBoundingClientRect()].flatMap(r => [r.left, r.right])"
            )
            assert 0 <= left < right <= PHONE
        box.hover()  # who enlarges the page has to be able to read on
        assert box.is_visible()
        page.keyboard.press("Escape")
        assert box.is_hidden()
        terms.first.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert box.is_visible()
        assert terms.first.get_attribute("aria-describedby") == box.get_attribute("id")
        assert faults == []


def test_the_book_on_one_page_is_one_sheet(browser: Browser, server: str) -> None:
    with opened(browser, f"{server}/book/one_page.html") as (page, faults):
        printed = page.pdf(format="A4")
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1
        assert faults == []
