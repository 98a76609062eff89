import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnc
from nnc.pruning.kmeans import code_rest, kmeans, quantise_kmeans


def test_six_values_by_hand():
    """Entries start at -2 and 5; then -2, -1 average to -1.5 and 4, 5 to 4.5."""
    codes, book = kmeans(torch.tensor([-2.0, -1.0, 0.0, 0.1, 4.0, 5.0]), 3)
    assert codes.tolist() == [1, 1, 0, 0, 2, 2]
    assert book.tolist() == [0.0, -1.5, 4.5]


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(0, 60),
    levels=st.sampled_from([1, 2, 3, 8, 100]),
    seed=st.integers(0, 999),
)
def test_codes_choose_the_nearest_entry(count, levels, seed):
    values = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    codes, book = kmeans(values, levels)
    assert book[0] == 0
    assert (book[1:].diff() > 0).all()
    assert len(book) <= levels
    assert set(range(1, len(book))) <= set(codes.tolist())  # every entry but zero is in use
    error = (values - book[codes.long()]).abs()
    nearest = (values[:, None] - book).abs().min(1).values if count else error
    torch.testing.assert_close(error, nearest)


@settings(deadline=None, max_examples=30)
@given(levels=st.integers(2, 30), seed=st.integers(0, 999))
def test_the_error_is_not_larger_than_at_the_start(levels, seed):
    values = torch.randn(500, generator=torch.Generator().manual_seed(seed))
    codes, book = kmeans(values, levels)
    even = torch.cat([torch.zeros(1), torch.linspace(values.min(), values.max(), levels - 1)])
    start = (values[:, None] - even).square().min(1).values.sum()
    assert (values - book[codes.long()]).square().sum() <= start * (1 + 1e-5)


@pytest.mark.parametrize("levels", [6, 8, 10**12])
def test_few_distinct_values_are_kept(levels):
    values = torch.tensor([[-1.0, 0.0, 0.01], [0.02, 0.03, 2.0]])
    codes, book = kmeans(values, levels)
    assert torch.equal(book[codes.long()], values)


@pytest.mark.parametrize("values", [torch.zeros(3, 2), torch.zeros(0, 4), torch.full((5,), 2.5)])
def test_degenerate_tensors_come_out_as_they_were(values):
    codes, book = kmeans(values, 4)
    assert codes.shape == values.shape
    assert torch.equal(book[codes.long()], values)


@pytest.mark.parametrize("levels", [0, -1, 2.5])
def test_a_number_of_levels_that_is_none_is_refused(levels):
    with pytest.raises(ValueError, match="levels is"):
        kmeans(torch.ones(2), levels)


@pytest.mark.parametrize("prune", [0.0, 0.3, 0.9])
def test_exactly_the_smallest_are_pruned(prune):
    state = {"w": torch.randn(7, 11), "b": torch.randn(7), "n": torch.tensor(3)}
    quantised = quantise_kmeans(state, 256, prune)
    zero = quantised.codes["w"] == 0
    assert int(zero.sum()) >= int(prune * 77)
    if prune:
        assert int(zero.sum()) == int(prune * 77)
        assert state["w"][zero].abs().max() <= state["w"][~zero].abs().min()
    assert torch.equal(quantised.rest["b"], state["b"])
    assert quantised.rest["n"].item() == 3


def test_ties_are_pruned_to_the_count():
    assert quantise_kmeans({"w": torch.ones(2, 5)}, 4, 0.5).sparsity() == 0.5


@pytest.mark.parametrize(
    ("state", "prune", "message"),
    [
        ({"w": torch.tensor([[math.nan]])}, 0.0, "w: values has numbers that are NaN"),
        ({"w": torch.ones(1, 1)}, 1.0, r"prune is 1\.0, must be at least 0 and below 1"),
        ({"b": torch.ones(3)}, 0.0, "needs at least a weight tensor"),
    ],
)
def test_what_cannot_be_clustered_is_named(state, prune, message):
    with pytest.raises(ValueError, match=message):
        quantise_kmeans(state, 4, prune)


def test_the_rest_is_coded_where_it_is_worth_it():
    one = nnc.Quantised(
        {"b.weight": torch.ones(1, 1, dtype=torch.int32)},
        {"b.weight": torch.tensor([0.0, 1.0])},
        {"b.bias": torch.randn(50), "a.bias": torch.randn(3), "steps": torch.arange(40)},
    )
    coded = code_rest(one, 8)
    assert list(coded.codes) == ["b.bias", "b.weight"]
    assert len(coded.codebooks["b.bias"]) <= 8
    assert set(coded.rest) == {"a.bias", "steps"}
    assert coded.sparsity() == one.sparsity()  # biases are no prunable weights
