"""Build the pages with Jupyter Book, strictly, and in plain words: no colour codes in a log.

Jupyter Book colours what it says even where nothing shows colours; a terminal keeps Sphinx's own.
"""

from __future__ import annotations

import sys

from jupyter_book import utils
from jupyter_book.cli.main import main
from sphinx.util import console

utils.endc = ""
utils.bcolors.update(dict.fromkeys(utils.bcolors, ""))
if not sys.stderr.isatty():
    console.nocolor()

if __name__ == "__main__":
    main(["build", ".", "--all", "-W", "-n", "--keep-going", "-q"])
