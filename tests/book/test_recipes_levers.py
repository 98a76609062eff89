"""Each lever is one change, and reaches the prior."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import nnc
from nnc.data import Dataset, Split
from nnc_book.recipes import small
from nnc_book.recipes.job import Job
from nnc_book.recipes.levers import LEVERS, Levers, suggest
from nnc_book.recipes.task import Task


class Trial:
    def __init__(self, lever):
        self.lever = lever

    def suggest_categorical(self, name, choices):
        assert self.lever in choices
        return self.lever


def changed(lever):
    plain, other = dataclasses.asdict(Levers()), dataclasses.asdict(suggest(Trial(lever)))
    return {key for key in plain if plain[key] != other[key]}


@pytest.mark.parametrize("lever", LEVERS)
def test_a_lever_changes_what_it_names_and_nothing_else(lever):
    assert changed(lever) == set(LEVERS[lever])
    prior = suggest(Trial(lever)).prior(layers=3)
    assert (prior.log_scales is not None) == (lever == "a scale per layer")
    assert (prior.hyper.pi_0 is not None) == ("Beta" in lever)
    assert len(prior.means) == (4 if lever == "4 components" else 16)
    assert (prior.hyper.zero.shape == 1) == (lever == "no hyper-priors")


@pytest.mark.parametrize("lever", ["as recorded", "a codebook per layer"])
def test_a_codebook_per_layer_keeps_the_zeros_of_the_mixture(monkeypatch, lever):
    torch.manual_seed(0)
    model = nn.Linear(20, 30)
    monkeypatch.setattr(small, "fit", lambda *given, **named: [])
    split = Split(torch.zeros(40, 1, 4, 5, dtype=torch.uint8), torch.zeros(40).long())
    job = Job(Dataset("none", ("a",), split, split), 0, Path("unused"))
    narrow = replace(suggest(Trial(lever)), sigma=0.05, mean_range=0.2, pi_0=0.9, batch_size=10)
    zeros = nnc.quantise(model, narrow.prior(1), threshold=0.1).codes["weight"] == 0
    task = Task(lambda: nn.Linear(20, 30), split, split)
    found, _ = small.share(narrow, job, task, model)
    assert 0 < zeros.double().mean() < 1
    assert ((found.codes["weight"] == 0) | ~zeros).all()
    values = found.codebooks["weight"]
    assert len(values) <= (narrow.levels or 17)
    if narrow.levels:  # a layer's own values, not the mixture's
        assert not torch.isin(values[1:], narrow.prior(1).means.detach()).any()
