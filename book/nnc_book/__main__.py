"""``python -m nnc_book``, which is also what ``accelerate launch -m nnc_book`` runs."""

import sys

from nnc_book.cli import main

sys.exit(main())
