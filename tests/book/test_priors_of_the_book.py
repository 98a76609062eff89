import math

import pytest
import torch
from torch import nn

import nnc
from nnc.priors import Mixture
from nnc_book.priors import GaussianPrior


def test_one_gaussian_by_hand():
    # 3² / (2 · 4) + log(2 sqrt(2 pi)) = 1.125 + 1.612085714
    penalty = GaussianPrior(2.0)([torch.tensor([3.0], dtype=torch.float64)])
    assert penalty.item() == pytest.approx(2.737085714)


def test_gaussian_gradient():
    weights = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(GaussianPrior(0.3)([weights]), weights)
    torch.testing.assert_close(slopes, weights.detach() / 0.09)


def test_gaussian_is_the_mixture_of_one():
    weights = torch.randn(50, dtype=torch.float64)
    one = Mixture([0.0], [1 / 0.3**2], [1.0])
    total = -one.log_density(weights).sum()
    assert GaussianPrior(0.3)([weights[:20], weights[20:]]).item() == pytest.approx(total.item())
    torch.testing.assert_close(one.pull(weights), weights / 0.09)


def test_gaussian_is_weight_decay_for_sgd():
    tau, examples, sigma = 0.5, 100, 0.2
    start = torch.randn(5, 3, dtype=torch.float64)
    ends = []
    for decay in (0.0, tau / (examples * sigma**2)):
        weights = nn.Parameter(start.clone())
        optimiser = torch.optim.SGD([weights], lr=0.1, weight_decay=decay)
        for _ in range(3):
            optimiser.zero_grad()
            loss = weights.sin().mean()
            if not decay:
                loss = loss + tau / examples * GaussianPrior(sigma)([weights])
            loss.backward()
            optimiser.step()
        ends.append(weights.detach())
    torch.testing.assert_close(ends[0], ends[1])


def test_it_takes_a_module_and_tensors_without_elements():
    model = nnc.LeNet300100()
    weights = [model.fc1.weight, model.fc2.weight, model.fc3.weight]
    assert torch.equal(GaussianPrior(0.3)(model), GaussianPrior(0.3)(weights))
    assert GaussianPrior(1.0)([torch.zeros(0, 3)]).item() == 0
    assert not GaussianPrior(1.0)([torch.tensor([math.nan])]).isfinite()


@pytest.mark.parametrize("sigma", [0, math.nan])
def test_sigma_is_checked(sigma):
    with pytest.raises(ValueError, match=f"sigma must be a positive finite number, got {sigma}"):
        GaussianPrior(sigma)


def test_no_weights_are_refused():
    with pytest.raises(ValueError, match="weights must hold at least one tensor, got none"):
        GaussianPrior(1.0)([])
