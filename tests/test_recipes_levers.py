"""Each lever is one change, and reaches the prior."""

import dataclasses

import pytest

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
