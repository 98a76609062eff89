"""What all tests share: no screen, and properties that are not failed for being slow."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("nnc", deadline=None)
settings.load_profile("nnc")
