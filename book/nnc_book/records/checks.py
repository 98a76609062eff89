"""Whether recorded networks reach what their record says, on the real test set."""

from __future__ import annotations

from pathlib import Path

import torch

from nnc import data
from nnc.training import evaluate
from nnc_book import records
from nnc_book.recipes import get


def check(recipe: str, root: Path | str | None = None) -> tuple[list[str], bool]:
    """Check a record: its files, and its test accuracies where the data set is there.

    Returns:
        What is wrong, a line each; and whether the data set was there.
    """
    wrong = records.verify(recipe)
    record = records.read(recipe)
    described = record["dataset"]
    try:
        dataset = data.load(described["name"], root, download=False)
    except FileNotFoundError:
        return wrong, False
    if dataset.fingerprint != described["fingerprint"]:
        return [f"{recipe}: {described['name']} here has other pixels than the record's"], True
    one_image = 1 / len(dataset.test)
    for one in record["runs"]:
        if one["file"] is None or records.file_fault(one):
            continue  # there is none, or records.verify has said what is wrong with it
        model = records.network(recipe, one["seed"]).load_into(get(recipe).build())
        # Channels innermost and few images at once: three times as fast on a processor.
        model.to(memory_format=torch.channels_last)
        accuracy = evaluate(model, dataset.test, batch_size=250)
        if abs(accuracy - one["metrics"]["test_accuracy"]) > 1.01 * one_image:
            wrong.append(
                f"{recipe}, seed {one['seed']}: test_accuracy is recorded as "
                f"{one['metrics']['test_accuracy']}, the stored network reaches {accuracy}"
            )
    return wrong, True
