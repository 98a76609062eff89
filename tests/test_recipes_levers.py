"""Each lever is one change, and reaches the prior."""

import dataclasses
import operator
from types import SimpleNamespace

import pytest

from nnc.kmeans import quantise_kmeans
from nnc.models import LeNet300100, prunable_weights
from nnc.recipes import levers
from nnc.recipes.levers import LEVERS, Levers, suggest


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


def test_biases_stand_under_the_prior_where_asked_for():
    model = LeNet300100()
    weights = list(prunable_weights(model).values())
    assert same(Levers().penalised(model), weights)
    biases = [model.get_parameter(f"fc{i}.bias") for i in (1, 2, 3)]
    assert len(suggest(Trial("biases under the prior too")).penalised(model)) == 6
    both = Levers(biases=True).penalised(model)
    assert all(any(one is other for other in both) for one in [*weights, *biases])


def test_a_second_round_goes_on_from_the_first_assignment(monkeypatch):
    """Each round is given the network that the one before it assigned."""
    seen = []

    def pretended(stages, model, name="cluster"):
        seen.append((name, float(model.fc1.weight.detach().abs().max())))
        halved = {key: value / 2 for key, value in model.state_dict().items()}
        return quantise_kmeans(halved, 4), {name: []}

    monkeypatch.setattr(levers, "cluster", pretended)
    stages = SimpleNamespace(settings=Levers(rounds=3))
    _, history = levers.cluster_in_rounds(stages, LeNet300100())
    assert list(history) == ["cluster", "cluster_2", "cluster_3"]
    names, largest = zip(*seen, strict=True)
    assert list(names) == list(history)
    # k-means averages the largest, so a little less than half is left each time
    assert largest[1] < 0.51 * largest[0]
    assert largest[2] < 0.51 * largest[1]


def same(found, expected):
    return len(found) == len(expected) and all(map(operator.is_, found, expected))
