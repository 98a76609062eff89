"""``python -m nnc``."""

import sys

from nnc.cli import main

sys.exit(main())
