"""The coders that the chapters explain: the file format's, and two from before them.

Each has ``encode(levels, bounds)`` and ``decode(data, shape, bounds)``.
"""

from nnc.storage import CODERS as STORED
from nnc_book.coders import huffman, relative

CODERS = {"raw": STORED["raw"], "csr": STORED["csr"], "relative": relative, "huffman": huffman}
"""The plain coders, by name; the last two are not in the file format."""
