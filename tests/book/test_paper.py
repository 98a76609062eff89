"""Stored networks with their units in order, and as a code on paper."""

from functools import partial

import pytest
import torch

import nnc
from nnc import storage
from nnc_book import records


@pytest.mark.parametrize(
    ("recipe", "build"), [("lenet300-kd-sws", nnc.LeNet300100), ("lenet5-kd-sws", nnc.LeNet5Caffe)]
)
def test_a_recorded_network_gets_smaller(recipe, build):
    quantised = records.network(recipe)
    images = nnc.data.as_input(nnc.data.load("mnist-5k").test.images[:64])
    sorted_ = nnc.sort_units(quantised, build(), images[:2])
    write = partial(storage.dumps, precision="float16")
    assert len(write(sorted_)) < 0.97 * len(write(quantised))
    with torch.no_grad():
        one, other = (q.load_into(build()).eval()(images) for q in (quantised, sorted_))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
