import pytest
import torch
from batch_norms import randomised
from test_folding import close
from test_ordering import Skipping
from torch import nn

import nnc
from nnc.pruning import fold_batch_norm
from nnc_book.networks import MLP, count_operations
from nnc_book.removal import fold_empty_units, remove_empty_units


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
        lambda: MLP(20, 30, 10),
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


def test_a_dead_unit_moves_into_the_next_bias_by_hand():
    """Unit 1 gives relu(2) = 2 for any input; times its outgoing 3 and -1."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
        model[0].bias.copy_(torch.tensor([0.5, 2.0]))
        model[2].weight.copy_(torch.tensor([[1.0, 3.0], [1.0, -1.0]]))
        model[2].bias.copy_(torch.tensor([0.25, 0.25]))
    inputs = torch.randn(6, 2)
    folded = fold_empty_units(model, inputs)
    close(folded, model, inputs)
    assert folded[2].bias.tolist() == [6.25, -1.75]
    assert folded[2].weight.tolist() == [[1.0, 0.0], [1.0, 0.0]]
    assert folded[0].bias.tolist() == [0.5, 0.0]


def test_a_unit_that_nobody_reads_is_emptied():
    torch.manual_seed(0)
    model = nnc.LeNet300100()
    with torch.no_grad():
        model.fc2.weight[:, 5] = 0
        model.fc3.weight[:, :90] = 0
    images = torch.rand(4, 1, 28, 28)
    folded = fold_empty_units(model, images)
    close(folded, model, images)
    assert (folded.fc2.weight[:90] == 0).all()
    assert (folded.fc2.bias[:90] == 0).all()
    assert (folded.fc1.weight[5] == 0).all()
    assert (model.fc1.weight[5] != 0).any()


@pytest.mark.parametrize("build", [nnc.LeNet300100, nnc.LeNet5Caffe, nnc.mini_vgg])
def test_sparse_networks_keep_their_logits(build):
    torch.manual_seed(1)
    model = randomised(build())
    for weight in nnc.prunable_weights(model).values():
        weight.data[torch.rand(len(weight)) < 0.4] = 0
        weight.data[:, torch.rand(weight.shape[1]) < 0.3] = 0
    images = torch.rand(5, *model.input_shape)
    folded = fold_empty_units(model, images)
    close(folded, model, images)
    parameters = [sum(int((p != 0).sum()) for p in m.parameters()) for m in (folded, model)]
    assert parameters[0] < parameters[1]
    close(fold_empty_units(fold_batch_norm(model), images), model, images)


def test_a_constant_stays_where_the_next_layer_pads():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 3, 3, padding=1)).eval()
    with torch.no_grad():
        model[0].weight[1] = 0
        model[0].bias[1] = 2.0
    folded = fold_empty_units(model, torch.rand(2, 1, 9, 9))
    assert folded[0].bias[1] == 2.0
    assert torch.equal(folded[2].weight, model[2].weight)


def test_a_network_that_is_no_chain_is_refused():
    torch.manual_seed(0)
    model = Skipping()
    with torch.no_grad():
        model.three.weight[:, 2] = 0
    with pytest.raises(ValueError, match="its layers are no chain"):
        fold_empty_units(model, torch.randn(5, 4))
