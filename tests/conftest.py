"""What all tests share: no screen, and properties that are not failed for being slow."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from nnc_book import records

os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("nnc", deadline=None)
settings.load_profile("nnc")


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the records that may be edited, read instead of the package's own."""
    folder = tmp_path / "records"
    shutil.copytree(records.FOLDER, folder)
    monkeypatch.setattr(records, "FOLDER", folder)
    return folder
