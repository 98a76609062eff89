"""A term of the glossary carries its definition, which book/_static/terms.js shows where it is."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx

GLOSSARY = "book/glossary"
LINK = re.compile(r'<a class="reference internal" href="[^"]*#(term-[^"]+)">')


@cache  # every page asks
def definitions(app: Sphinx) -> dict[str, str]:
    """What the glossary says of each of its terms, by the term's place in it."""
    found = {}
    for item in app.env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        said = " ".join(part.astext() for part in item.findall(nodes.definition))
        for term in item.findall(nodes.term):
            found |= dict.fromkeys(term["ids"], re.sub(r"\s+", " ", said))
    return found


def say_what_terms_mean(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Put definitions on a page's links to the glossary."""
    if page == GLOSSARY or not LINK.search(context.get("body", "")):
        return
    known = definitions(app)

    def with_definition(match: re.Match[str]) -> str:
        link = BeautifulSoup(match[0], "html.parser").a
        link["data-says"] = known[match[1]]
        return str(link).removesuffix("</a>")

    context["body"] = LINK.sub(with_definition, context["body"])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register it with Sphinx."""
    app.connect("html-page-context", say_what_terms_mean)
    app.add_js_file("terms.js")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
