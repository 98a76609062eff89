"""Weights are found by their plain names and values, whatever is wrapped around them."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn import utils
from torch.nn.utils import parametrizations, prune

from nnc.weights import make_plain, plain_state, prunable_weights, unwrapped


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2)).eval()


def old_weight_norm(layer):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        utils.weight_norm(layer)


def masked(layer):
    prune.l1_unstructured(layer, "weight", 0.5)


CHANGES = [masked, parametrizations.weight_norm, old_weight_norm, parametrizations.orthogonal]


@pytest.mark.parametrize("change", CHANGES)
def test_a_computed_weight_has_its_plain_name_and_value(change):
    plain, model = network(), network()
    change(model[0])
    inputs = torch.randn(5, 4)
    before = model(inputs)
    assert list(prunable_weights(model)) == ["0.weight", "2.weight"]
    assert set(plain_state(model)) == set(plain.state_dict())
    plain.load_state_dict(plain_state(model))
    assert torch.allclose(plain(inputs), before, atol=1e-6)
    weight = prunable_weights(model)["0.weight"]
    weight.sum().backward()
    assert any(p.grad is not None for p in model[0].parameters())


@pytest.mark.parametrize("change", CHANGES)
def test_made_plain_it_answers_as_before_and_has_the_plain_entries(change):
    model = network()
    change(model[0])
    inputs = torch.randn(5, 4)
    before = model(inputs)
    assert make_plain(model) is model
    assert set(model.state_dict()) == set(network().state_dict())
    assert torch.allclose(model(inputs), before, atol=1e-6)
    assert isinstance(model[0].weight, nn.Parameter)


def test_plain_networks_stay_as_they_are():
    model = network()
    before = copy.deepcopy(model.state_dict())
    assert prunable_weights(model)["0.weight"] is model[0].weight
    assert list(plain_state(model)) == list(before)
    make_plain(model)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())


def test_wrappers_and_their_prefixes_are_taken_off():
    model = network()
    wrapped = nn.DataParallel(torch.compile(model, backend="eager"))
    assert unwrapped(wrapped) is model
    assert list(prunable_weights(wrapped)) == ["0.weight", "2.weight"]
    assert list(plain_state(wrapped)) == list(model.state_dict())
    model[2] = torch.compile(model[2], backend="eager")
    assert list(prunable_weights(model)) == ["0.weight", "2.weight"]
    assert "2.bias" in plain_state(model)


def test_a_module_in_two_places_counts_once_and_keeps_both_names():
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    assert list(prunable_weights(model)) == ["0.weight"]
    assert list(plain_state(model)) == ["0.weight", "0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.LSTM(3, 4), ["weight_ih_l0", "weight_hh_l0"]),
        (nn.Embedding(5, 3), ["weight"]),
        (nn.ConvTranspose2d(2, 3, 2), ["weight"]),
        (nn.Conv2d(4, 4, 3, groups=4), ["weight"]),
        (nn.MultiheadAttention(4, 2), ["in_proj_weight", "out_proj.weight"]),
    ],
)
def test_all_kinds_of_layers_have_their_matrices(layer, names):
    assert list(prunable_weights(layer)) == names
