"""Whether recorded networks reach what their record says, on the real test set."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnc.data import Dataset
from nnc.training import evaluate
from nnc_book import records
from nnc_book.recipes import get


def check(recipe: str, load: Callable[[str], Dataset]) -> tuple[list[str], bool]:
    """Check a record: its files, and its test accuracies where the data set is there.

    Args:
        recipe: the record's.
        load: from a name to a data set; FileNotFoundError where it is not there.

    Returns:
        What is wrong, a line each; and whether the data set was there.
    """
    wrong = records.verify(recipe)
    record = records.read(recipe)
    described = record["dataset"]
    try:
        dataset = load(described["name"])
    except FileNotFoundError:
        return wrong, False
    if dataset.fingerprint != described["fingerprint"]:
        return [f"{recipe}: {described['name']} here has other pixels than the record's"], True
    one_image = 1 / len(dataset.test)
    for one in record["runs"]:
        if one["file"] is None or records.file_fault(one):
            continue  # there is none, or records.verify has said what is wrong with it
        model = records.network(recipe, one["seed"]).load_into(get(recipe).build())
        # Faster on a processor.
        model.to(memory_format=torch.channels_last)
        accuracy = evaluate(model, dataset.test)
        if abs(accuracy - one["metrics"]["test_accuracy"]) > 1.01 * one_image:
            wrong.append(
                f"{recipe}, seed {one['seed']}: test_accuracy is recorded as "
                f"{one['metrics']['test_accuracy']}, the stored network reaches {accuracy}"
            )
    return wrong, True
