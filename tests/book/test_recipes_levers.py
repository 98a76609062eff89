"""Each lever is one change, and reaches the prior."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nnc.pruning.quantised import Quantised
from nnc_book.recipes import clustering, levers
from nnc_book.recipes.levers import LEVERS, Levers, suggest


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


class Unshrunk(nn.Linear):
    """Weights at which clustering ends, and what the assignment makes of them."""

    def __init__(self):
        super().__init__(2, 3)
        with torch.no_grad():
            self.weight.copy_(torch.tensor([[0.01, 0.4], [0.5, -0.02], [-0.7, 0.0]]))

    def assigned(self):
        codes = torch.tensor([[0, 1], [1, 0], [2, 0]], dtype=torch.int32)
        return Quantised.beside(
            self.state_dict(), {"weight": codes}, {"weight": torch.tensor([0.0, 0.3, -0.3])}
        )


@pytest.mark.parametrize(
    ("lever", "values"),
    [("as recorded", [0.0, 0.3, -0.3]), ("a codebook per layer", [0, -0.7, 0.4, 0.5])],
)
def test_a_codebook_per_layer_keeps_the_zeros_of_the_mixture(monkeypatch, lever, values):
    model = Unshrunk()
    monkeypatch.setattr(clustering, "_train_under", lambda *given: [])
    monkeypatch.setattr(clustering, "_assigned", lambda settings, model, prior: model.assigned())
    stages = SimpleNamespace(settings=suggest(Trial(lever)))
    found, _ = levers.shrink(stages, model)
    assert ((found.codes["weight"] == 0) == (model.assigned().codes["weight"] == 0)).all()
    assert torch.allclose(found.codebooks["weight"], torch.tensor(values))
