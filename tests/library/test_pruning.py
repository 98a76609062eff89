import math

import pytest
import torch
from torch import nn

import nnc
from nnc.pruning.sharing import assign, freeze, merge, quantise, unfreeze


def mixture(means, sigmas, shares):
    rows = (torch.tensor(row, dtype=torch.float64) for row in (means, sigmas, shares))
    centres, widths, proportions = rows
    return nnc.Mixture(centres, 1 / widths**2, proportions)


def linear(values):
    model = nn.Linear(len(values[0]), len(values))
    with torch.no_grad():
        model.weight.copy_(torch.tensor(values))
    return model


def narrow_prior(*means, **more):
    return nnc.GaussianMixturePrior(torch.tensor(means), sigma=0.05, pi_0=0.5, **more)


def test_two_components_merge_to_their_common_moments():
    three = mixture([0, 1, 2], [0.1, 1, 1], [0.5, 0.125, 0.375])
    # KL both ways of N(1, 1) and N(2, 1) is 1.
    assert len(merge(three, 0.999).means) == 3
    two = merge(three, 1.001)
    torch.testing.assert_close(two.means, torch.tensor([0, 1.75], dtype=torch.float64))
    assert two.sigmas[1].item() ** 2 == pytest.approx(1 + 0.25 * 0.75)
    assert two.proportions.tolist() == [0.5, 0.5]


def test_the_zero_component_keeps_its_mean():
    one = merge(mixture([0, 0.1], [1, 1], [0.5, 0.5]), 1)
    assert one.means.tolist() == [0]
    assert one.sigmas.item() ** 2 == pytest.approx(1 + 0.005)


def test_others_come_out_by_ascending_mean():
    assert merge(mixture([0, 5, -5], [1, 1, 1], [0.4, 0.3, 0.3]), 0).means.tolist() == [0, -5, 5]


@pytest.mark.parametrize("threshold", [-1.0, float("nan")])
def test_a_threshold_below_zero_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold is"):
        merge(mixture([0], [1], [1]), threshold)


def test_the_two_rules_part_at_borders_computed_by_hand():
    two = mixture([0, 1], [0.2, 0.2], [0.99, 0.01])
    border = 0.5 + math.log(99) / 25
    x = torch.tensor([0.499, 0.501, border - 1e-3, border + 1e-3])
    assert assign(x, two, "likelihood").tolist() == [0, 1, 1, 1]
    assert assign(x, two, "responsibility").tolist() == [0, 0, 0, 1]


def test_assigning_nothing_gives_nothing():
    assert assign(torch.empty(0, 3), mixture([0], [1], [1])).shape == (0, 3)


def test_an_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="by is 'median'"):
        assign(torch.zeros(1), mixture([0], [1], [1]), "median")


def test_counts_and_values_of_a_tiny_layer():
    model = linear([[0.01, -0.01, 0.5, 0.49, -0.5]])
    found = quantise(model, narrow_prior(-0.5, 0.5, 3.0))
    assert found.codes["weight"].tolist() == [[0, 0, 2, 2, 1]]
    assert found.codebooks["weight"].tolist() == [0.0, -0.5, 0.5]
    assert found.sparsity() == 2 / 5
    assert torch.equal(found.rest["bias"], model.bias)


def test_a_layers_scale_multiplies_its_codebook():
    prior = narrow_prior(0.5, layers=2)
    with torch.no_grad():
        prior.log_scales.copy_(torch.tensor([math.log(2.0), -math.log(2.0)]))
    model = nn.Sequential(linear([[0.0, 1.0]]), linear([[0.25]]))
    found = quantise(model, prior)
    assert found.codebooks["0.weight"].tolist() == pytest.approx([0, 1.0])
    assert found.codebooks["1.weight"].tolist() == pytest.approx([0, 0.25])


def test_a_layer_of_zeros_has_a_codebook_of_one():
    found = quantise(linear([[0.0, 0.01]]), narrow_prior(0.5))
    assert found.codebooks["weight"].tolist() == [0.0]
    assert found.sparsity() == 1
    with pytest.raises(ValueError, match="only zeros"):
        freeze(linear([[0.0, 0.0]]), found)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(bad):
    with pytest.raises(ValueError, match="0.weight: weights has values that are NaN"):
        quantise(nn.Sequential(linear([[bad]])), narrow_prior(0.5))


def test_an_entry_learns_from_the_sum_and_zeros_stay():
    model = linear([[0.0, 0.5, 0.5], [-0.5, 0.5, 0.0]])
    freeze(model, quantise(model, narrow_prior(-0.5, 0.5)))
    entries = next(p for p in model.parameters() if p.shape == (2,) and p is not model.bias)
    model(torch.tensor([[1.0, 2.0, 4.0]])).sum().backward()
    assert entries.grad.tolist() == [1.0, 2.0 + 4.0 + 2.0]
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    trained = model.weight.detach().clone()
    found = unfreeze(model)
    # One left behind would have the shape of a codebook.
    assert all(p.grad is None or p.grad.shape == p.shape for p in model.parameters())
    assert found.codebooks["weight"].tolist() == pytest.approx([0, -0.51, 0.42])
    assert torch.equal(model.weight, trained)
    assert torch.equal(found.weight("weight"), trained)
    assert (trained == 0).sum() == 2


def test_the_shared_gradient_is_right_in_float64():
    model = linear([[0.0, 0.5], [-0.5, 0.5]])
    freeze(model, quantise(model, narrow_prior(-0.5, 0.5)))
    model.double()
    steps = model.parametrizations.weight
    x = torch.rand(3, 2, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda entries: (x @ steps[0](entries).T).tanh(), (steps.original,)
    )


def test_a_model_that_is_not_frozen_cannot_be_unfrozen():
    with pytest.raises(ValueError, match="model is not frozen"):
        unfreeze(nn.Linear(1, 1))


def test_apart_and_together_again():
    model = nnc.LeNet300100()
    quantise(model, narrow_prior(-0.03, 0.03)).load_into(model)
    found = nnc.Quantised.from_state_dict(model.state_dict(), nnc.prunable_weights(model))
    assert all(torch.equal(found.state_dict()[k], v) for k, v in model.state_dict().items())


def test_another_architecture_is_refused_and_left_alone():
    found, other = quantise(linear([[0.5]]), narrow_prior(0.5)), nn.Linear(2, 1)
    before = other.weight.clone()
    with pytest.raises(ValueError, match="does not fit the quantised network at weight"):
        found.load_into(other)
    assert torch.equal(other.weight, before)


@pytest.mark.parametrize(
    ("codes", "codebook", "message"),
    [
        ([[0, 2]], [0.0, 1.0], "must be from 0 and below the 2 entries"),
        ([[-1, 0]], [0.0, 1.0], "a code of .* is -1"),
        ([[0, 0]], [0.5], "must be finite and start with 0.0"),
        ([[0, 0]], [0.0, float("nan")], "must be finite"),
        ([[0, 0]], [], "at least one entry"),
    ],
)
def test_values_that_do_not_fit_are_refused(codes, codebook, message):
    codes = torch.tensor(codes, dtype=torch.int32)
    with pytest.raises(ValueError, match=message):
        nnc.Quantised({"w": codes}, {"w": torch.tensor(codebook)}, {})


def test_a_threshold_of_zero_merges_not_even_twins():
    twins = mixture([0, 1, 1], [0.1, 0.2, 0.2], [0.5, 0.3, 0.2])
    assert merge(twins, 0).means.tolist() == [0, 1, 1]
    both = merge(twins, 1e-9)
    assert both.means.tolist() == [0, 1]
    assert both.proportions.tolist() == [0.5, 0.5]


def test_a_mixture_of_one_stays():
    one = merge(mixture([0], [0.1], [1]), 100)
    assert (one.means.tolist(), one.proportions.tolist()) == ([0], [1])


def test_merging_leaves_its_argument_alone():
    three = mixture([0, 1, 2], [0.1, 1, 1], [0.5, 0.125, 0.375])
    merge(three, 100)
    assert three.means.tolist() == [0, 1, 2]
    assert three.proportions.tolist() == [0.5, 0.125, 0.375]


def test_a_frozen_models_state_goes_through_a_file(tmp_path):
    found = quantise(linear([[0.0, 0.5, -0.5]]), narrow_prior(-0.5, 0.5))
    one, other = (freeze(linear([[0.0, 0.0, 0.0]]), found) for _ in range(2))
    optimiser = torch.optim.SGD(one.parameters(), lr=0.1)
    one(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    assert not torch.equal(one.weight, other.weight)
    torch.save(one.state_dict(), tmp_path / "state")
    other.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(one.weight, other.weight)
    assert torch.equal(unfreeze(other).weight("weight"), one.weight)


def test_quantising_changes_neither_model_nor_prior():
    model, prior = linear([[0.01, 0.5]]), narrow_prior(0.5)
    before = [tensor.clone() for tensor in (*model.parameters(), *prior.parameters())]
    quantise(model, prior, threshold=10.0)
    after = (*model.parameters(), *prior.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
