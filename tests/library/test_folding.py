import pytest
import torch
from batch_norms import randomised
from torch import nn

import nnc
from nnc.models import mini_vgg
from nnc.pruning.folding import fold_batch_norm, fold_empty_units


def close(one, other, inputs):
    with torch.no_grad():
        torch.testing.assert_close(one(inputs), other.eval()(inputs), rtol=1e-4, atol=1e-4)


def test_batch_norm_becomes_a_scale_and_a_shift():
    torch.manual_seed(0)
    model, images = randomised(mini_vgg()), torch.rand(3, 3, 32, 32)
    folded = fold_batch_norm(model)
    close(folded, model, images)
    norm = folded.features[1]
    assert (norm.running_mean == 0).all()
    assert (norm.running_var == 1 - norm.eps).all()
    assert (folded.features[0].bias == 0).all()
    assert (model.features[1].running_mean != 0).all()  # the given model is as it was
    close(fold_batch_norm(folded), model, images)


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


@pytest.mark.parametrize("build", [nnc.LeNet300100, nnc.LeNet5Caffe, mini_vgg])
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


class Skipping(nn.Module):
    """The second layer is read by the sum, not by the third alone."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        hidden = self.two(self.one(x))
        return hidden + self.three(hidden)


def test_a_network_that_is_no_chain_is_refused():
    torch.manual_seed(0)
    model = Skipping()
    with torch.no_grad():
        model.three.weight[:, 2] = 0
    with pytest.raises(ValueError, match="its layers are no chain"):
        fold_empty_units(model, torch.randn(5, 4))
