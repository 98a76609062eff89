import pytest
import torch
from batch_norms import randomised
from torch import nn

from nnc.models import LeNet5Caffe, LeNet300100, count_parameters, mini_vgg, vgg13
from nnc_book.networks import MLP, count_layers, count_operations, rescale, vgg11, vgg16


@pytest.mark.parametrize(("build", "parameters"), [(vgg11, 9_231_114), (vgg16, 14_728_266)])
def test_the_others_of_the_vgg_family_have_their_parameters(build, parameters):
    assert count_parameters(build()) == parameters


@pytest.mark.parametrize(
    ("build", "layers"), [(vgg11, 30), (vgg13, 36), (vgg16, 45), (mini_vgg, 21)]
)
def test_the_vgg_family_has_the_layers_of_the_readme(build, layers):
    assert count_layers(build()) == layers


def test_layers_before_a_batch_norm_get_the_same_deviation():
    torch.manual_seed(0)
    model, images = randomised(mini_vgg()), torch.rand(3, 3, 32, 32)
    scaled = rescale(model, 0.05)
    for layer in (m for m in scaled.modules() if isinstance(m, nn.Conv2d)):
        assert layer.weight.std().item() == pytest.approx(0.05, rel=1e-4)
    assert torch.equal(scaled.classifier.weight, model.classifier.weight)
    with torch.no_grad():
        before, after = model(images), scaled(images)
    assert (before - after).abs().max() < 0.01 * before.abs().max()


@pytest.mark.parametrize(
    ("deviation", "message"), [(0, "deviation is 0, must be positive"), (1, "train it first")]
)
def test_what_cannot_be_rescaled(deviation, message):
    model = mini_vgg()
    model.features[0].weight.data.fill_(0.5)
    with pytest.raises(ValueError, match=message):
        rescale(model, deviation)


def test_operations_by_hand():
    assert count_operations(LeNet300100()) == 784 * 300 + 300 * 100 + 100 * 10
    convolutions = 20 * 24**2 * 25 + 50 * 8**2 * 20 * 25
    assert count_operations(LeNet5Caffe()) == convolutions + 800 * 500 + 500 * 10


def test_counting_leaves_a_network_as_it_was():
    model = mini_vgg()
    model.features[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    count_operations(model)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("hidden", "parameters"), [((1200, 1200), 2_395_210), ((800, 800), 1_276_810)]
)
def test_hintons_networks(hidden, parameters):
    assert count_parameters(MLP(*hidden)) == parameters
    assert MLP(*hidden)(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_dropout_is_for_training_alone():
    model = MLP(50, dropout=0.5)
    images = torch.rand(4, 1, 28, 28)
    assert not torch.equal(model(images), model(images))
    model.eval()
    assert torch.equal(model(images), model(images))
