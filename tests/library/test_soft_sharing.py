"""Soft weight-sharing as one object: in a loop of one's own, resumed, and on strange networks."""

import copy
import math

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional
from torch.nn.utils import prune

import nnc
from nnc.priors import GaussianMixturePrior


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))


def problem():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(512, 6, generator=generator)
    return inputs, (inputs[:, 0] > inputs[:, 1]).long()


def train(model, sharing=None, steps=300, optimiser=None, start=0):
    inputs, labels = problem()
    groups = [{"params": model.parameters(), "lr": 3e-3}]
    if sharing is not None:
        groups += sharing.parameter_groups()
    optimiser = optimiser or torch.optim.Adam(groups)
    for step in range(start, steps):
        at = torch.arange(step * 64, step * 64 + 64) % len(labels)
        loss = functional.cross_entropy(model(inputs[at]), labels[at])
        if sharing is not None:
            loss = loss + sharing.penalty()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if sharing is not None:
            sharing.step()
    return optimiser


def accuracy(model):
    inputs, labels = problem()
    return (model(inputs).argmax(1) == labels).double().mean().item()


def test_the_ten_lines_make_a_small_file_that_still_answers(tmp_path):
    model = network()
    train(model)
    dense = accuracy(model)
    sharing = nnc.SoftWeightSharing(model, examples=512, steps=600, tau=0.2)
    train(model, sharing, 600)
    quantised = sharing.quantise()
    nnc.save(quantised, tmp_path / "net.sws")
    again = nnc.load(tmp_path / "net.sws").load_into(network())
    assert quantised.sparsity() > 0.5
    assert accuracy(again) > dense - 0.05
    assert sharing.measure()["would_be_sparsity"] == quantised.sparsity()


def test_the_penalty_is_the_priors_share_of_an_example_times_the_pressure():
    model = network()
    prior = GaussianMixturePrior(torch.tensor([-0.5, 0.5]), sigma=0.2, pi_0=0.5)
    sharing = nnc.SoftWeightSharing(
        model, examples=100, steps=10, tau=0.3, prior=prior, ramp=0.5, ease=0
    )
    assert float(sharing.penalty().detach()) == 0
    sharing.step()
    expected = 0.3 / 100 * (1 / 10 / 0.5) * prior(model)
    assert torch.equal(sharing.penalty(), expected)


@pytest.mark.parametrize(
    ("taken", "factor"), [(0, 0), (1, 0.4), (2.5, 1), (6, 1), (8, 0.2**0.5), (10, 0.2), (12, 0.2)]
)
def test_the_pressure_grows_stays_and_eases(taken, factor):
    sharing = nnc.SoftWeightSharing(network(), examples=1, steps=10)
    sharing.taken = taken
    assert sharing.pressure == pytest.approx(factor)


def test_a_resumed_run_has_the_same_bits():
    whole = network()
    sharing = nnc.SoftWeightSharing(whole, examples=512, steps=60)
    train(whole, sharing, 60)

    first = network()
    begun = nnc.SoftWeightSharing(first, examples=512, steps=60)
    optimiser = train(first, begun, 30)
    kept = copy.deepcopy([first.state_dict(), begun.state_dict(), optimiser.state_dict()])

    second = network()
    again = nnc.SoftWeightSharing(second, examples=512, steps=60)
    groups = [{"params": second.parameters(), "lr": 3e-3}, *again.parameter_groups()]
    resumed = torch.optim.Adam(groups)
    for one, state in zip((second, again, resumed), kept, strict=True):
        one.load_state_dict(state)
    train(second, again, 60, resumed, start=30)
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    for name, value in sharing.prior.state_dict().items():
        assert torch.equal(value, again.prior.state_dict()[name]), name
    assert again.taken == 60


def test_the_object_may_be_made_from_the_resumed_network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    sharing = nnc.SoftWeightSharing(model, examples=10, steps=10)
    sharing.step()
    with torch.no_grad():
        for weight in (model[0].weight, model[3].weight):
            weight.mul_(3)  # training, in short
    again = nnc.SoftWeightSharing(model, examples=10, steps=10)
    again.load_state_dict(sharing.state_dict())
    assert torch.equal(again.penalty(), sharing.penalty())
    for name, codes in sharing.quantise().codes.items():
        assert torch.equal(again.quantise().codes[name], codes)


def test_a_compiled_penalty_follows_the_pressure_and_is_compiled_once():
    model = network()
    sharing = nnc.SoftWeightSharing(model, examples=10, steps=20)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(sharing.penalty, backend=counter, fullgraph=True)
    parameters = [*model.parameters(), *sharing.parameters()]
    for _ in range(20):
        penalties = compiled(), sharing.penalty()
        assert torch.allclose(*penalties, rtol=1e-5)
        found, expected = (
            torch.autograd.grad(one, parameters, allow_unused=True) for one in penalties
        )
        for one, other in zip(found, expected, strict=True):
            assert (one is None) == (other is None)
            assert one is None or torch.allclose(one, other, rtol=1e-5)
        sharing.step()
    assert counter.frame_count == 1


def test_zeros_are_held_while_the_rest_settles_and_after_resuming():
    model = network()
    train(model)
    sharing = nnc.SoftWeightSharing(model, examples=512, steps=300, tau=0.05)
    train(model, sharing)
    share = sharing.hold_zeros()
    assert share > 0.2
    assert sharing.pressure == sharing.relief
    zeros = {name: w == 0 for name, w in nnc.prunable_weights(model).items()}
    before = copy.deepcopy(model.state_dict())
    again = nnc.SoftWeightSharing(model, examples=512, steps=300, tau=0.05)
    again.load_state_dict(sharing.state_dict())
    train(model, again, 40)
    for name, weight in nnc.prunable_weights(model).items():
        assert not weight[zeros[name]].any()
        assert (weight != before[name]).any()
    quantised = again.quantise(levels=4)
    assert quantised.sparsity() >= share
    assert all(len(book) <= 4 for book in quantised.codebooks.values())


def test_what_is_measured_is_what_it_says():
    model = network()
    sharing = nnc.SoftWeightSharing(model, examples=512, steps=10)
    sharing.step()
    found = sharing.measure()
    codes = sharing.quantise().codes
    bits = 0.0
    for tensor in codes.values():
        shares = tensor.flatten().bincount().double() / tensor.numel()
        bits -= tensor.numel() * sum(p * math.log2(p) for p in shares.tolist() if p)
    assert found["expected_bytes"] == pytest.approx(bits / 8)
    assert found["zero_sigma"] == pytest.approx(float(sharing.prior.mixture().sigmas[0]))
    assert found["pressure"] == pytest.approx(0.4)


def test_layers_before_a_batch_norm_are_seen_in_a_unit_of_their_own():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)
    )
    large = copy.deepcopy(model)
    with torch.no_grad():
        large[0].weight.mul_(1000)
    one, other = (nnc.SoftWeightSharing(m, examples=10, steps=10) for m in (model, large))
    for sharing in (one, other):
        sharing.taken = 5
    assert torch.allclose(one.penalty(), other.penalty())
    small, big = one.quantise(), other.quantise()
    assert all(torch.equal(small.codes[name], big.codes[name]) for name in small.codes)
    scale = big.codebooks["0.weight"] / small.codebooks["0.weight"]
    assert torch.allclose(scale[1:], torch.tensor(1000.0))
    assert torch.equal(big.codebooks["4.weight"], small.codebooks["4.weight"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_of_weights_get_gradients(dtype):
    model = network().to(dtype)
    sharing = nnc.SoftWeightSharing(model, examples=10, steps=10)
    sharing.step()
    sharing.penalty().backward()
    for weight in nnc.prunable_weights(model).values():
        assert weight.grad.dtype == dtype
        assert weight.grad.isfinite().all()


def test_wrappers_masks_and_ties_are_seen_through():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(20, 8)
            self.head = nn.Linear(8, 20, bias=False)
            self.head.weight = self.embedding.weight

        def forward(self, tokens):
            return self.head(self.embedding(tokens))

    torch.manual_seed(0)
    model = torch.compile(Tied(), backend="eager")
    sharing = nnc.SoftWeightSharing(model, examples=10, steps=10)
    assert list(sharing.quantise().codes) == ["embedding.weight"]

    masked = network()
    prune.l1_unstructured(masked[0], "weight", 0.8)
    sharing = nnc.SoftWeightSharing(masked, examples=10, steps=10)
    sharing.step()
    sharing.penalty().backward()
    mask = masked[0].weight_mask.bool()
    assert not masked[0].weight_orig.grad[~mask].any()
    quantised = sharing.quantise()
    assert not quantised.codes["0.weight"][~mask].any()
    with pytest.raises(ValueError, match=r"masked or parametrised weight 0.weight.*make_plain"):
        sharing.hold_zeros()
    assert "0.weight" in nnc.make_plain(masked).state_dict()
    sharing.hold_zeros()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"examples": 0}, "examples is 0, must be at least 1"),
        ({"examples": [1, 2]}, r"examples is \[1, 2\], must be a number"),
        ({"tau": None}, "tau is None, must be a number"),
        ({"steps": 0}, "steps is 0, must be at least 1"),
        ({"tau": -1.0}, "tau is -1.0, must be at least 0"),
        ({"tau": math.nan}, "tau is nan"),
        ({"ramp": 2.0}, "ramp is 2.0, must be from 0 to 1"),
        ({"ease": -0.1}, "ease is -0.1"),
        ({"relief": 0.0}, "relief is 0.0, must be above 0"),
    ],
)
def test_what_is_out_of_range_is_said_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        nnc.SoftWeightSharing(network(), **({"examples": 10, "steps": 10} | arguments))
    assert "\n" not in str(error.value)


def test_a_network_of_zeros_is_refused():
    model = nn.Linear(3, 2)
    nn.init.zeros_(model.weight)
    with pytest.raises(ValueError, match="largest weight of model is 0.0, must be"):
        nnc.SoftWeightSharing(model, examples=10, steps=10)
