"""``python -m nnc``, which is also what ``accelerate launch -m nnc`` runs."""

import sys

from nnc.cli import main

sys.exit(main())
