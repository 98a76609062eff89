"""The numbers that pages without a kernel take from records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import records_role

RECORD = {
    "settings": {"tau": 0.0044},
    "dataset": {"name": "mnist", "train": 60000},
    "runs": [
        {"seconds": 110.0, "metrics": {"test_accuracy": 0.975, "file_bytes": 16603}},
        {"seconds": 130.0, "metrics": {"test_accuracy": 0.977, "file_bytes": 16605}},
    ],
}


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """A folder with one record."""
    (tmp_path / "lenet.json").write_text(json.dumps(RECORD))
    return tmp_path


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("lenet:test_accuracy", "97.6\u202f%"),
        ("lenet:test_accuracy|percent2", "97.60\u202f%"),
        ("lenet:file_bytes", "16,604 bytes"),
        ("lenet:file_bytes|count", "16,604"),
        ("lenet:seconds", "2 minutes"),
        ("lenet:runs", "2"),
        ("lenet:settings.tau", "0.0044"),
        ("lenet:dataset.train|count", "60,000"),
        ("lenet:dataset.name", "mnist"),
    ],
)
def test_a_number_is_read_and_written(records: Path, text: str, number: str) -> None:
    assert records_role.written(records, text) == number


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("gone:test_accuracy", "there is no book/nnc_book/records/gone.json"),
        ("lenet:gone", "no number 'gone' in lenet.json"),
        ("lenet:settings.gone", "no number 'settings.gone'"),
        ("lenet:dataset.name|percent", "no number 'dataset.name'"),
        ("lenet:runs|gone", "format 'gone' is not one of percent, "),
    ],
)
def test_an_unknown_number_is_an_error(records: Path, text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match="record") as caught:
        records_role.written(records, text)
    assert wrong in str(caught.value)
