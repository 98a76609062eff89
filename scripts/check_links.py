"""Check the built pages: every link, picture, style and script inside the site resolves.

``python scripts/check_links.py _build/html``. Links that a reader follows may lead elsewhere
(they cannot be checked offline); nothing may be loaded from elsewhere. Prints one line per
fault and exits with status 1 where there are any.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes that make a browser load something, or follow a link.
LOADED = {"src", "srcset", "poster", "data"}
FOLLOWED = {"href", "action"}
# A <link> with one of these names a page; every other <link> is loaded.
NAMES_ONLY = {"canonical", "next", "prev", "author", "license", "search", "index", "alternate"}
CSS_URL = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""")
REFRESH = re.compile(r"url=(\S+)", re.IGNORECASE)


@dataclass
class Page(HTMLParser):
    """What one page holds: its anchors, what it loads, where it links, its pictures' texts."""

    anchors: set[str] = field(default_factory=set)
    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    silent_pictures: list[str] = field(default_factory=list)
    in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag refers to."""
        values = {name: value or "" for name, value in attrs}
        self.in_style = tag == "style"
        self.anchors.update(values[name] for name in ("id", "name") if name in values)
        self.loads += css_urls(values.get("style", ""))
        if tag == "img" and not values.get("alt"):
            self.silent_pictures.append(values.get("src", ""))
        if tag == "meta" and values.get("http-equiv", "").lower() == "refresh":
            self.links += REFRESH.findall(values.get("content", ""))
        for name, value in values.items():
            if name in LOADED and tag not in ("form", "input"):
                self.loads += addresses(name, value)
            elif name in FOLLOWED:
                loaded = tag == "link" and not NAMES_ONLY & set(values.get("rel", "").split())
                (self.loads if loaded or tag in ("use", "image") else self.links).append(value)

    def handle_data(self, data: str) -> None:
        """Read the addresses in an inline style sheet."""
        if self.in_style:
            self.loads += css_urls(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave an inline style sheet."""
        self.in_style = False


def addresses(name: str, value: str) -> list[str]:
    """The addresses in an attribute; a srcset holds several."""
    if name != "srcset" or value.startswith("data:"):
        return [value]
    return [part.split()[0] for part in value.split(",") if part.strip()]


def css_urls(text: str) -> list[str]:
    """The addresses in a style sheet."""
    return [first or second for first, second in CSS_URL.findall(text)]


def read(path: Path) -> Page:
    """Parse one page."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def pages(site: Path) -> dict[Path, Page]:
    """All pages of the site; what lies under _static is templates, not pages."""
    site = site.resolve()
    found = sorted(site.rglob("*.html"))
    return {path: read(path) for path in found if "_static" not in path.relative_to(site).parts}


def fault(source: Path, address: str, parsed: dict[Path, Page], loads: bool) -> str:
    """What is wrong with one address, or nothing."""
    parts = urlsplit(address.strip())
    if parts.scheme in ("data", "blob", "mailto", "javascript") or address in ("", "#"):
        return ""
    if parts.scheme or parts.netloc:
        return "is loaded from another host" if loads else ""
    target = source
    if parts.path:
        if parts.path.startswith("/"):
            return "is absolute, and works at the root of a host only"
        target = (source.parent / unquote(parts.path)).resolve()
        if target.is_dir():
            target = target / "index.html"
        if not target.is_file():
            return "does not exist"
    anchor = unquote(parts.fragment)
    if anchor and target in parsed and anchor not in parsed[target].anchors:
        return f"has no anchor #{anchor}"
    return ""


def faults(site: Path) -> list[str]:
    """Every fault of the site, one line each."""
    site = site.resolve()
    parsed = pages(site)
    uses = [
        (path, address, loads)
        for path, page in parsed.items()
        for loads, listed in ((True, page.loads), (False, page.links))
        for address in listed
    ]
    uses += [
        (path, address, True)
        for path in sorted(site.rglob("*.css"))
        for address in css_urls(path.read_text(encoding="utf-8"))
    ]
    checked = (
        (path, address, fault(path, address, parsed, loads)) for path, address, loads in uses
    )
    return sorted(
        {
            f"{path.relative_to(site)}: {address} {wrong}"
            for path, address, wrong in checked
            if wrong
        }
    )


def main(arguments: list[str]) -> int:
    """Check the site in the named folder."""
    if len(arguments) != 1 or not Path(arguments[0], "index.html").is_file():
        print(
            "usage: check_links.py FOLDER, where FOLDER holds the built index.html", file=sys.stderr
        )
        return 2
    found = faults(Path(arguments[0]))
    print("\n".join(found) or "all links resolve, and nothing is loaded from another host")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
