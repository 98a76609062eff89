"""Cut the theme's icon fonts down to the icons that the pages use (274 kB to a few).

Run it after a change of the theme's version or where a page uses a new icon. It writes the two
small fonts and their style sheet to book/_static. An icon that is missing there still shows: the
style sheet names which characters it covers, and for any other the browser takes the theme's font.
"""

from __future__ import annotations

import re
from pathlib import Path

import pydata_sphinx_theme
from fontTools import subset

STATIC = Path(__file__).resolve().parent.parent / "book" / "_static"
THEME = Path(pydata_sphinx_theme.__file__).parent / "theme/pydata_sphinx_theme/static"
FAMILIES = {  # file of the theme -> family and weight in its style sheet, icons by name
    "fa-solid-900": (
        ("Font Awesome 6 Free", 900),
        "angle-down angle-left angle-right arrow-up bars circle-half-stroke download expand file "
        "file-pdf lightbulb list magnifying-glass moon rocket sun up-right-from-square",
    ),
    "fa-brands-400": (("Font Awesome 6 Brands", 400), "github"),
}


def named(style: str) -> dict[str, int]:
    """The character of each icon, by the name of its class."""
    found = {}
    for selectors, code in re.findall(r'([^{}]*)\{content:"\\([0-9a-f]+)"\}', style):
        for name in re.findall(r"\.fa-([a-z0-9-]+):before", selectors):
            found[name] = int(code, 16)
    return found


def variables(style: str) -> set[int]:
    """The characters in the theme's own variables, of which admonitions take theirs."""
    return {ord(one) for one in re.findall(r'--pst-[a-z-]+:"([\ue000-\uf8ff])"', style)}


def main() -> None:
    """Write the fonts and the style sheet."""
    style = (THEME / "styles/pydata-sphinx-theme.css").read_text(encoding="utf-8")
    characters, rules = named(style), []
    for file, ((family, weight), names) in FAMILIES.items():
        options = subset.Options(flavor="woff", layout_features=[], notdef_outline=True)
        font = subset.load_font(str(THEME / f"vendor/fontawesome/webfonts/{file}.ttf"), options)
        wanted = {characters[name] for name in names.split()} | variables(style)
        wanted &= set(font.getBestCmap())
        cutter = subset.Subsetter(options)
        cutter.populate(unicodes=wanted)
        cutter.subset(font)
        subset.save_font(font, str(STATIC / f"{file}.woff"), options)
        rules.append(
            f'@font-face{{font-family:"{family}";font-weight:{weight};font-display:block;\n'
            f'  src:url({file}.woff) format("woff");\n'
            f"  unicode-range:{','.join(f'U+{one:X}' for one in sorted(wanted))}}}\n"
        )
    (STATIC / "icons.css").write_text(
        "/* Written by scripts/icons.py. Font Awesome Free 6, its fonts under the SIL OFL 1.1. */\n"
        + "".join(rules),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
