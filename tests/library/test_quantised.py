"""A quantised network as a value, and in a model: what fits, what is refused, what stays zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import nnc
from nnc import Quantised


def codes_of(values: list[list[int]]) -> Tensor:
    return torch.tensor(values, dtype=torch.int32)


def one_layer(codebook: list[float], codes: list[list[int]]) -> Quantised:
    """The entries of a linear layer with a bias of zeros."""
    return Quantised(
        {"weight": codes_of(codes)},
        {"weight": torch.tensor(codebook)},
        {"bias": torch.zeros(len(codes))},
    )


def test_a_weight_is_its_codes_entry() -> None:
    found = one_layer([0.0, -1.5, 2.0], [[0, 1], [2, 2]])
    assert found.weight("weight").tolist() == [[0.0, -1.5], [2.0, 2.0]]
    assert found.state_dict().keys() == {"weight", "bias"}
    assert found.sparsity() == found.sparsity("weight") == 0.25
    # Four weights and two biases of four bytes each.
    assert found.compression_ratio(12) == 2.0


def test_sparsity_counts_weights_and_not_layers() -> None:
    codes = {"a": codes_of([[0]]), "b": codes_of([[1, 1, 1]]), "c": codes_of([[]])}
    found = Quantised(codes, dict.fromkeys(codes, torch.tensor([0.0, 1.0])), {})
    assert found.sparsity() == 0.25
    assert [found.sparsity(name) for name in "abc"] == [1.0, 0.0, 0.0]


def test_from_state_dict_is_the_inverse_of_state_dict() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3, 2))
    levels = torch.tensor([-0.5, 0.0, 0.25, 1.0])
    with torch.no_grad():
        for weight in nnc.prunable_weights(model).values():
            weight.copy_(levels[torch.randint(4, weight.shape)])
    state = model.state_dict()
    found = Quantised.from_state_dict(state, nnc.prunable_weights(model))
    again = found.state_dict()
    assert again.keys() == state.keys()
    assert all(torch.equal(again[k], v) and again[k].dtype == v.dtype for k, v in state.items())
    for book in found.codebooks.values():
        assert book[0] == 0
        assert (book[1:].diff() > 0).all()
    twice = Quantised.from_state_dict(again, found.codes)
    assert all(torch.equal(twice.codes[name], found.codes[name]) for name in found.codes)


def test_from_state_dict_takes_a_transposed_weight() -> None:
    weight = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).T
    assert torch.equal(Quantised.from_state_dict({"w": weight}, ["w"]).weight("w"), weight)


def test_from_state_dict_copies_the_rest() -> None:
    state = {"w": torch.ones(1, 1), "b": torch.zeros(1)}
    found = Quantised.from_state_dict(state, ["w"])
    state["b"] += 1
    assert found.rest["b"].item() == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_from_state_dict_names_what_is_not_finite(bad: float) -> None:
    with pytest.raises(ValueError, match="'w'.* must be finite"):
        Quantised.from_state_dict({"w": torch.tensor([[0.0, bad]])}, ["w"])


def test_from_state_dict_names_what_is_missing() -> None:
    with pytest.raises(ValueError, match="names has 'v', state has"):
        Quantised.from_state_dict({"w": torch.ones(1, 1)}, ["v"])


@pytest.mark.parametrize(
    ("codes", "codebooks", "rest", "message"),
    [
        ({"w": codes_of([[0]])}, {"v": torch.zeros(1)}, {}, "codebooks has the names"),
        ({"w": codes_of([[0]])}, {}, {}, "codebooks has the names"),
        ({"w": codes_of([[0]])}, {"w": torch.zeros(1)}, {"w": torch.ones(1)}, "rest has"),
        ({"w": torch.zeros(1, 1).long()}, {"w": torch.zeros(1)}, {}, "must be torch.int32"),
        ({"w": codes_of([[0]])}, {"w": torch.zeros(1).int()}, {}, "must be float32, float16"),
        ({"w": codes_of([[0]])}, {"w": torch.zeros(1, 1)}, {}, "one dimension"),
        ({"w": codes_of([[1]])}, {"w": torch.zeros(1)}, {}, "must be from 0 and below"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    codes: dict[str, Tensor], codebooks: dict[str, Tensor], rest: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Quantised(codes, codebooks, rest)


@pytest.mark.parametrize(
    "other", [nn.Linear(3, 1), nn.Linear(2, 1, bias=False), nn.Sequential(nn.Linear(2, 1))]
)
def test_loading_into_another_architecture_changes_nothing(other: nn.Module) -> None:
    found = one_layer([0.0, 7.0], [[1, 0]])
    before = {name: value.clone() for name, value in other.state_dict().items()}
    for put in (found.load_into, lambda model: nnc.freeze(model, found)):
        with pytest.raises(ValueError, match="does not fit the quantised network"):
            put(other)
    after = other.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.AdamW])
def test_zeros_and_sharing_survive_an_optimiser(optimiser: type[torch.optim.Optimizer]) -> None:
    found = one_layer([0.0, -1.0, 1.0], [[0, 1, 2, 2], [2, 0, 0, 1]])
    model = nnc.freeze(nn.Linear(4, 2), found)
    steps = optimiser(model.parameters(), lr=0.1)
    images = torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(5):
        steps.zero_grad()
        (model(images) ** 2).mean().backward()
        steps.step()
    trained = model.weight.detach().clone()
    again = nnc.unfreeze(model)
    assert torch.equal(again.codes["weight"], found.codes["weight"])
    assert not torch.equal(again.codebooks["weight"], found.codebooks["weight"])
    assert (trained[found.codes["weight"] == 0] == 0).all()
    assert torch.equal(again.weight("weight"), trained)
    assert torch.equal(model.weight, trained)
    assert set(dict(model.named_parameters())) == {"weight", "bias"}


def test_freezing_and_unfreezing_without_training_changes_no_bit() -> None:
    found = one_layer([0.0, 0.1, 1 / 3], [[1, 2], [0, 2]])
    model = nnc.freeze(nn.Linear(2, 2), found)
    again = nnc.unfreeze(model)
    assert torch.equal(again.codebooks["weight"], found.codebooks["weight"])
    assert torch.equal(again.state_dict()["weight"], found.state_dict()["weight"])
    assert torch.equal(again.rest["bias"], found.rest["bias"])


def test_training_a_frozen_model_leaves_the_passed_value_alone() -> None:
    found = one_layer([0.0, 1.0], [[1, 0]])
    model = nnc.freeze(nn.Linear(2, 1), found)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert found.codebooks["weight"].tolist() == [0.0, 1.0]
    assert found.rest["bias"].tolist() == [0.0]


def test_a_frozen_model_can_be_frozen_again() -> None:
    model = nnc.freeze(nn.Linear(2, 1), one_layer([0.0, 1.0], [[1, 0]]))
    nnc.freeze(model, one_layer([0.0, 2.0, 3.0], [[2, 1]]))
    again = nnc.unfreeze(model)
    assert again.weight("weight").tolist() == model.weight.tolist() == [[3.0, 2.0]]
    assert list(again.rest) == ["bias"]


def test_a_tied_tensor_is_its_owners() -> None:
    found = Quantised({"a": codes_of([[1]])}, {"a": torch.tensor([0.0, 2.0])}, {}, {"b": "a"})
    state = found.state_dict()
    assert state["a"] is state["b"]
    assert found.weight("b").tolist() == [[2.0]]
    assert found.sparsity("b") == 0.0
    # Counted once.
    assert found.compression_ratio(4) == 1.0
    with pytest.raises(ValueError, match="ties\\['b'\\] is 'c', must be in codes"):
        Quantised(found.codes, found.codebooks, {}, {"b": "c"})
    with pytest.raises(ValueError, match="ties\\['a'\\] is 'a', must be in codes"):
        Quantised(found.codes, found.codebooks, {}, {"a": "a"})


def test_layers_may_share_a_codebook_tensor_in_a_file() -> None:
    book = torch.tensor([0.0, 1.0])
    codes = {"a": codes_of([[1, 0]]), "b": codes_of([[0, 1]])}
    rest = {"bias": nn.Parameter(torch.ones(2))}
    again = nnc.storage.loads(nnc.storage.dumps(Quantised(codes, {"a": book, "b": book}, rest)))
    assert again.weight("a").tolist() == [[1.0, 0.0]]
    assert again.weight("b").tolist() == [[0.0, 1.0]]
    assert again.rest["bias"].tolist() == [1.0, 1.0]
