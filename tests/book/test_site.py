"""The built pages as files: links resolve, nothing comes from elsewhere, pictures have texts."""

from __future__ import annotations

from pathlib import Path

import check_links
import nbformat
import pytest
from notebooks import chapters

PAGE = '<html><body><h1 id="top">A page</h1>{}</body></html>'


@pytest.mark.site
def test_every_link_of_the_site_resolves_and_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert check_links.faults(site) == []


@pytest.mark.site
def test_every_picture_says_what_it_shows(site: Path) -> None:
    silent = {
        path.name: page.silent_pictures
        for path, page in check_links.pages(site).items()
        if page.silent_pictures
    }
    assert silent == {}


@pytest.mark.site
def test_a_fold_says_the_name_that_its_cell_gives_it(site: Path) -> None:
    for chapter in chapters():
        text = (site / "book" / f"{chapter.stem}.html").read_text(encoding="utf-8")
        told = [
            cell.metadata.get("mystnb", {}) for cell in nbformat.read(chapter, as_version=4).cells
        ]
        names = {one["code_prompt_show"] for one in told if "code_prompt_show" in one}
        assert [name for name in names if f">{name}</p>" not in text] == []


@pytest.mark.parametrize(
    "body",
    [
        '<a href="https://example.org/">elsewhere</a>',
        '<a href="#top">here</a><a href="other.html#there">there</a>',
        '<img src="data:image/png;base64,AA" alt="a dot">',
        '<img src="dot.png?v=1" alt="a dot">',
        '<link rel="canonical" href="https://example.org/">',
    ],
)
def test_a_sound_page_has_no_faults(tmp_path: Path, body: str) -> None:
    (tmp_path / "index.html").write_text(PAGE.format(body))
    (tmp_path / "other.html").write_text('<p id="there">')
    (tmp_path / "dot.png").write_bytes(b"")
    assert check_links.faults(tmp_path) == []


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ('<a href="gone.html">x</a>', "gone.html does not exist"),
        ('<a href="#nowhere">x</a>', "#nowhere has no anchor #nowhere"),
        ('<a href="/index.html">x</a>', "/index.html is absolute"),
        ('<script src="https://cdn.example/x.js"></script>', "is loaded from another host"),
        ('<link rel="stylesheet" href="//cdn.example/x.css">', "is loaded from another host"),
        ('<img srcset="a.png 1x, b.png 2x">', "a.png does not exist"),
        ("<style>p { background: url('gone.png') }</style>", "gone.png does not exist"),
        ('<iframe src="https://cdn.example/"></iframe>', "is loaded from another host"),
    ],
)
def test_a_faulty_page_is_found_out(tmp_path: Path, body: str, wrong: str) -> None:
    (tmp_path / "index.html").write_text(PAGE.format(body))
    assert any(wrong in line for line in check_links.faults(tmp_path))
