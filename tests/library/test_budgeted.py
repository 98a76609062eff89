"""Weight-sharing within a budget: shared values straight through, the price, what is kept."""

import copy
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

import nnc
from nnc.pruning.shared_values import Phase, SharedValues

INPUTS = torch.randn(1024, 6, generator=torch.Generator().manual_seed(1))
LABELS = (INPUTS[:, 0] > INPUTS[:, 1]).long()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2)
    )


def error(model):
    with torch.no_grad():
        return (model(INPUTS[512:]).argmax(1) != LABELS[512:]).double().mean().item()


def train(model, sharing=None, steps=300, start=0, optimiser=None):
    optimiser = optimiser or torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(start, steps):
        at = torch.arange(step * 64, step * 64 + 64) % 512
        loss = functional.cross_entropy(model(INPUTS[at]), LABELS[at])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if sharing is not None:
            sharing.step()
    return optimiser


def trained(seed=0):
    model = network(seed)
    train(model)
    return model


def single(values):
    return nn.Parameter(torch.tensor(values).reshape(1, -1))


def test_a_parameter_stands_at_the_nearest_of_its_values():
    weight = single([-1.0, -0.9, 0.02, 0.0, 0.9, 1.1])
    with SharedValues({"w": weight}).averaged(0.0) as (codes, books):
        assert torch.equal(books["w"][codes["w"].long()], weight.detach())
    assert weight[0, 3] == 0


def test_the_average_reaches_back_and_the_network_comes_back():
    weight, bias = single([-1.0, 0.0, 1.0]), nn.Parameter(torch.zeros(1))
    statistics = torch.zeros(1)
    values = SharedValues({"w": weight, "b": bias}, [statistics], horizon=1e9)
    for number in (2.0, 4.0):
        with torch.no_grad():
            weight[0, 2], bias[0], statistics[0] = number, number, number
        values.step(0.0)
    # Of the new, 10 / 11 and then 10 / 12 come into the mean. The weight stands at 1 throughout, so
    # that its latent goes to 2 and by 3 more to 5.
    with values.averaged(0.0) as (codes, books):
        assert weight[0, 2].item() == pytest.approx((1 + 10 * 2) / 11 / 6 + 5 * 10 / 12)
        assert bias.item() == statistics.item() == pytest.approx(10 * 2 / 11 / 6 + 4 * 10 / 12)
        assert torch.equal(books["w"][codes["w"].long()], weight.detach())
    assert weight[0, 2] == 1
    assert bias == statistics == 4


def test_the_latent_takes_the_step_and_the_weight_follows_when_it_crosses():
    weight = single([-1.0, 0.0, 1.0])
    values = SharedValues({"w": weight})
    with torch.no_grad():
        weight += torch.tensor([[0.0, 0.3, 0.0]])
    values.step(0.0)
    assert weight.tolist() == [[-1, 0, 1]]  # 0.3 is nearer to zero
    with torch.no_grad():
        weight += torch.tensor([[0.0, 0.3, 0.0]])
    values.step(0.0)
    assert weight.tolist() == [[-1, 1, 1]]  # 0.6 is not


def test_a_bit_has_its_price():
    # Counts 1, 2 and 1 of -1, 0 and 1: by Laplace's rule non-zero has 3/6, each value 2/4. A value
    # costs one bit more than zero, and 1 is given up once price > 1.
    for price, kept in ((0.99, 2), (1.01, 0)):
        weight = single([-1.0, 0.0, 0.0, 1.0])
        SharedValues({"w": weight}).step(price)
        assert int((weight != 0).sum()) == kept


def test_zeros_do_not_return_when_they_may_not():
    weight = single([-1.0, 0.0, 1.0])
    values = SharedValues({"w": weight})
    with torch.no_grad():
        weight += torch.tensor([[0.0, 0.9, 0.0]])
    values.step(0.0, Phase.LEAVING)
    assert weight[0, 1] == 0
    values.step(0.0)
    assert weight[0, 1] == 1


def test_fixed_codes_stay_and_entries_move():
    weight = single([-1.0, 0.0, 1.0])
    values = SharedValues({"w": weight})
    with torch.no_grad():
        weight += torch.tensor([[0.0, 0.9, 0.5]])
    values.step(100.0, Phase.FIXED)
    assert weight.tolist() == [[-1, 0, 1.5]]  # the entry is the mean of what it owns


def test_a_weight_with_a_large_gradient_is_dear():
    weight = single([0.1] * 40 + [0.0] * 100)
    values = SharedValues({"w": weight})
    for _ in range(30):
        weight.grad = torch.tensor([[100.0] * 20 + [0.01] * 120])
        values.step(0.004)
    assert (weight[0, :20] != 0).all()
    assert (weight[0, 20:40] == 0).all()


@given(st.lists(st.floats(-5, 5, width=32), min_size=1, max_size=40), st.floats(0, 10))
@settings(max_examples=60, deadline=None)
def test_any_weights_become_few_values_that_are_finite(numbers, price):
    weight = single(numbers)
    values = SharedValues({"w": weight})
    for _ in range(12):
        values.step(price)
    assert torch.isfinite(weight).all()
    with values.averaged(price) as (codes, books):
        assert books["w"][0] == 0
        assert len(books["w"]) <= 9
        assert torch.equal(books["w"][codes["w"].long()], weight.detach())


def test_the_file_is_small_and_the_error_within_its_budget(tmp_path):
    model = trained()
    sharing = nnc.BudgetedSharing(model, steps=900, held_out=error, lose=0.02)
    train(model, sharing, 900)
    quantised = sharing.quantise()
    nnc.save(quantised, tmp_path / "net.sws")
    again = nnc.load(tmp_path / "net.sws").load_into(network())
    assert error(again) <= sharing.dense_error + 0.02
    assert quantised.sparsity() > 0.7
    assert error(again) == pytest.approx(sharing._best["error"])


def test_a_budget_of_bytes_is_met():
    model = trained()
    sharing = nnc.BudgetedSharing(model, steps=900, bytes=300)
    train(model, sharing, 900)
    assert sharing._best["bytes"] <= 300
    assert math.isnan(sharing.dense_error)
    sharing.quantise().load_into(model)
    assert error(model) < 0.1


def test_a_budget_that_cannot_be_met_is_said_in_one_line_and_the_nearest_kept():
    model = trained()
    wall = iter([0.0] + [0.5] * 1000)
    sharing = nnc.BudgetedSharing(model, steps=60, held_out=lambda _: next(wall), lose=0.01)
    train(model, sharing, 60)
    with pytest.warns(UserWarning, match=r"loss of 0.01 could not be met: reached about \d+ bytes"):
        sharing.quantise()


def scripted(errors):
    """A network of which the given errors are measured, one for each of 100 checks."""
    model = trained()
    given = iter([0.0, *errors])
    return model, nnc.BudgetedSharing(model, steps=100, held_out=lambda _: next(given), lose=0.01)


def test_weights_that_left_come_back_where_the_budget_is_missed_for_long():
    model, sharing = scripted([0.005] * 50 + [0.03] * 16 + [0.005] * 34)
    optimiser = train(model, sharing, 50)
    layers = [model[0].weight, model[2].weight, model[4].weight]
    within = [weight.detach().clone() for weight in layers]
    assert sharing.phase is Phase.LEAVING
    train(model, sharing, 65, start=50, optimiser=optimiser)
    price = sharing.price
    assert not all(map(torch.equal, within, layers))
    train(model, sharing, 66, start=65, optimiser=optimiser)
    assert all(map(torch.equal, within, layers))
    assert sharing.price == pytest.approx(0.7 * price)
    train(model, sharing, 100, start=66, optimiser=optimiser)
    assert sharing.phase is Phase.FIXED


def test_codes_are_free_until_the_budget_has_been_met_once():
    model, sharing = scripted([0.03] * 60 + [0.005] * 40)
    optimiser = train(model, sharing, 60)
    assert sharing.phase is Phase.FREE
    train(model, sharing, 61, start=60, optimiser=optimiser)
    assert sharing.phase is Phase.LEAVING


def test_the_price_gives_way_to_a_near_miss_reluctantly_and_to_a_far_one_at_once():
    near, far, spike = [0.02] * 10, [0.2] * 10, [0.02] * 6 + [0.2] + [0.02] * 3
    steps = []
    for errors in (near, far, spike):
        model, sharing = scripted(errors)
        first = sharing.price
        train(model, sharing, 10)
        steps.append(math.log(sharing.price / first) / 6)  # the first four checks are warm-up
    assert steps == pytest.approx([-0.15 * 0.3 * 0.15, -0.15 * 0.3 * 4, -0.15 * 0.3 * 0.15])


def test_a_resumed_run_has_the_same_bits():
    whole = trained()
    sharing = nnc.BudgetedSharing(whole, steps=120, held_out=error, lose=0.02)
    train(whole, sharing, 120)

    first = trained()
    begun = nnc.BudgetedSharing(first, steps=120, held_out=error, lose=0.02)
    optimiser = train(first, begun, 70)
    kept = copy.deepcopy([first.state_dict(), begun.state_dict(), optimiser.state_dict()])
    second = trained()
    again = nnc.BudgetedSharing(second, steps=120, held_out=error, lose=0.02)
    resumed = torch.optim.Adam(second.parameters(), lr=3e-3)
    for one, state in zip((second, again, resumed), kept, strict=True):
        one.load_state_dict(state)
    train(second, again, 120, start=70, optimiser=resumed)
    for one, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert again.price == sharing.price
    assert again._best["rank"] == sharing._best["rank"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"steps": 0, "bytes": 9}, "steps is 0"),
        ({"steps": 9}, "give held_out and lose, or bytes"),
        ({"steps": 9, "bytes": 9, "held_out": error, "lose": 0.1}, "give held_out and lose"),
        ({"steps": 9, "held_out": error}, "give held_out and lose"),
        ({"steps": 9, "held_out": error, "lose": 0.0}, "lose is 0.0, must be positive"),
        ({"steps": 9, "held_out": error, "lose": math.nan}, "lose is nan"),
        ({"steps": 9, "bytes": 0}, "bytes is 0"),
    ],
)
def test_bad_arguments_are_one_line(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        nnc.BudgetedSharing(network(), **arguments)
    assert "\n" not in str(caught.value)


def test_a_masked_weight_is_refused_by_name():
    model = network()
    prune.l1_unstructured(model[0], "weight", 0.5)
    with pytest.raises(ValueError, match=r"weight 0\.weight"):
        nnc.BudgetedSharing(model, steps=9, bytes=100)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16, torch.float16])
def test_other_types_keep_their_type(kind):
    model = network().to(kind)
    sharing = nnc.BudgetedSharing(model, steps=20, bytes=500)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for _ in range(20):
        sharing.step()
    assert all(weight.dtype == kind for weight in model.parameters())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert sharing.quantise().codebooks["0.weight"].dtype == kind


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.read = nn.Embedding(20, 16)
        self.write = nn.Linear(16, 20, bias=False)
        self.write.weight = self.read.weight

    def forward(self, tokens):
        return self.write(self.read(tokens))


def test_a_tied_matrix_is_coded_once_and_tied_again(tmp_path):
    torch.manual_seed(0)
    model = Tied()
    quantised = nnc.BudgetedSharing(model, steps=9, bytes=10_000).quantise()
    assert dict(quantised.ties) == {"write.weight": "read.weight"}
    assert not quantised.rest
    nnc.save(quantised, tmp_path / "net.sws")
    again = nnc.load(tmp_path / "net.sws").load_into(Tied())
    assert again.write.weight is again.read.weight
    assert torch.equal(again.read.weight, quantised.weight("read.weight"))


def test_layers_that_are_compiled_keep_their_plain_names():
    model = network()
    model[2] = torch.compile(nn.Linear(32, 32), backend="eager")
    quantised = nnc.BudgetedSharing(model, steps=9, bytes=10_000).quantise()
    assert "2.bias" in quantised.codes
    quantised.load_into(network())


def test_a_masked_bias_is_refused_by_name():
    model = network()
    prune.l1_unstructured(model[0], "bias", 0.5)
    with pytest.raises(ValueError, match=r"weight 0\.bias"):
        nnc.BudgetedSharing(model, steps=9, bytes=100)


def test_within_a_budget_of_bytes_the_last_network_is_kept_after_resuming_too(tmp_path):
    model = network()
    sharing = nnc.BudgetedSharing(model, steps=20, bytes=10_000)
    sharing.step()
    torch.save(sharing.state_dict(), tmp_path / "state.pt")
    sharing.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    before = sharing.quantise().weight("0.weight")
    with torch.no_grad():
        model[0].weight += 1
    sharing.step()
    assert (sharing.quantise().weight("0.weight") - before).mean() > 0.5


def test_an_all_zero_layer_stays_and_nothing_is_divided_by_zero():
    model = network()
    with torch.no_grad():
        model[2].weight.zero_()
    sharing = nnc.BudgetedSharing(model, steps=20, bytes=500)
    train(model, sharing, 20)
    assert all(torch.isfinite(p).all() for p in model.parameters())
