import pytest
import torch
from test_folding import close
from torch import nn

import nnc
from nnc_book.networks import count_operations
from nnc_book.removal import remove_empty_units


def emptied(model, units, seed):
    """The model with some random units of every layer but the last without incoming weights."""
    generator = torch.Generator().manual_seed(seed)
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for layer in layers[:-1]:
        dead = torch.randperm(len(layer.weight), generator=generator)[:units]
        layer.weight.data[dead] = 0
    for norm in (m for m in model.modules() if isinstance(m, nn.BatchNorm2d)):
        norm.bias.data -= 3  # so that a channel without weights is cut off by ReLU
    return model.eval()


@pytest.mark.parametrize("units", [0, 1, 7])
@pytest.mark.parametrize(
    "build",
    [
        nnc.LeNet300100,
        nnc.LeNet5Caffe,
        lambda: nnc.MLP(20, 30, 10),
        lambda: nnc.VGG((8, "pool", 8, "pool", 16, 8, "pool", 8, "pool", 8, "pool")),
    ],
)
def test_removed_units_leave_the_same_logits(build, units):
    torch.manual_seed(units)
    model = emptied(build(), units, seed=units)
    images = torch.rand(5, *model.input_shape)
    small = remove_empty_units(model, images)
    close(small, model, images)
    assert count_operations(small) <= count_operations(model)
    if units:
        assert nnc.count_parameters(small) < nnc.count_parameters(model)


def test_removal_by_hand():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0], [2.0, 0.0]]))
        model[0].bias.zero_()
        model[2].weight.copy_(torch.tensor([[1.0, 3.0, 0.0]]))
    small = remove_empty_units(model, torch.randn(6, 2))
    assert small[0].weight.tolist() == [[1.0, 1.0]]  # unit 1 is dead, unit 2 is read by nobody
    assert small[2].weight.tolist() == [[1.0]]
    assert (small[0].out_features, small[2].in_features) == (1, 1)


def test_one_unit_stays_where_all_are_empty():
    model = nnc.LeNet300100()
    model.fc2.weight.data.zero_()
    images = torch.rand(3, 1, 28, 28)
    small = remove_empty_units(model, images)
    close(small, model, images)
    assert [len(small.fc1.weight), len(small.fc2.weight)] == [1, 1]
