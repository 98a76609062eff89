import pytest
import torch
from torch import nn

from nnc import prunable_weights
from nnc.models import (
    VGG,
    LeNet5Caffe,
    LeNet300100,
    count_parameters,
    mini_vgg,
    vgg13,
)


@pytest.mark.parametrize(
    ("build", "parameters", "prunable"),
    [(LeNet300100, 266_610, 266_200), (LeNet5Caffe, 431_080, 430_500)],
)
def test_parameter_counts_are_those_of_the_papers(build, parameters, prunable):
    model = build()
    assert count_parameters(model) == parameters
    assert sum(weight.numel() for weight in prunable_weights(model).values()) == prunable


@pytest.mark.parametrize("build", [LeNet300100, LeNet5Caffe])
@pytest.mark.parametrize("images", [0, 1, 3])
def test_logits_have_one_row_an_image(build, images):
    assert build()(torch.rand(images, 1, 28, 28)).shape == (images, 10)


def test_lenet_300_100_by_hand():
    """Weights that copy pixel 0 through to logit 0, so that the answer can be seen."""
    model = LeNet300100()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        model.fc1.weight[0, 0] = 2.0
        model.fc2.weight[0, 0] = 3.0
        model.fc3.weight[0, 0] = -1.0
        model.fc3.bias[9] = 0.5
    image = torch.zeros(1, 1, 28, 28)
    image[0, 0, 0, 0] = 0.25
    expected = torch.zeros(1, 10)
    expected[0, 0], expected[0, 9] = -1.5, 0.5
    torch.testing.assert_close(model(image), expected)


@pytest.mark.parametrize("build", [LeNet300100, LeNet5Caffe])
@pytest.mark.parametrize("shape", [(784,), (2, 784), (2, 3, 28, 28), (2, 1, 32, 32)])
def test_other_shapes_are_refused_with_the_expected_shape(build, shape):
    with pytest.raises(ValueError, match=r"images has shape .* expected N × 1 × 28 × 28"):
        build()(torch.rand(shape))


@pytest.mark.parametrize("build", [LeNet300100, LeNet5Caffe, mini_vgg])
def test_images_of_any_other_shape_are_refused_in_one_line(build):
    model = build()
    channels, height, width = model.input_shape
    for shape in (
        (),
        (0,),
        (channels, height, width),  # one image without a batch
        (2, height, width),
        (2, channels * height * width),
        (2, channels + 1, height, width),
        (2, 4 - channels, height, width),
        (2, height, width, channels),
        (2, channels, 16, 16),
        (2, channels, height, width + 1),
        (2, channels, 0, 0),
        (1, 2, channels, height, width),
    ):
        with pytest.raises(ValueError, match=r"^images has shape .*, expected N × .*; ") as caught:
            model(torch.rand(shape))
        assert str(shape) in str(caught.value)
        assert f"expected N × {channels} × {height} × {width}; " in str(caught.value)
        assert "\n" not in str(caught.value)


def test_the_remedy_for_other_channels_works():
    grey, colours = torch.rand(2, 1, 32, 32), torch.rand(2, 3, 28, 28)
    with pytest.raises(ValueError, match=r"; images\.expand\(-1, 3, -1, -1\) repeats a grey"):
        mini_vgg()(grey)
    assert mini_vgg()(grey.expand(-1, 3, -1, -1)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"; images\.mean\(1, keepdim=True\) makes colours grey"):
        LeNet5Caffe()(colours)
    assert LeNet5Caffe()(colours.mean(1, keepdim=True)).shape == (2, 10)


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ((), r'configuration is \(\), must be numbers of channels from 1 and "pool" five times'),
        ((8, "pool"), r"configuration is \(8, 'pool'\), must be"),
        ((8, *["pool"] * 6), r"configuration is \(8, 'pool', .*five times"),
        ((8, "pol", *["pool"] * 5), r"configuration is \(8, 'pol', .*channels from 1 and"),
        ((0, *["pool"] * 5), r"configuration is \(0, "),
        ((8.0, *["pool"] * 5), r"configuration is \(8\.0, "),
    ],
)
def test_a_vgg_of_a_configuration_that_cannot_work_is_refused(configuration, message):
    with pytest.raises(ValueError, match=message):
        VGG(configuration)


def test_pixels_as_integers_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="as_input"):
        LeNet300100()(torch.zeros(1, 1, 28, 28, dtype=torch.uint8))


def test_names_and_order_of_prunable_weights():
    assert list(prunable_weights(LeNet300100())) == ["fc1.weight", "fc2.weight", "fc3.weight"]


def test_a_model_without_matrices_has_nothing_to_prune():
    with pytest.raises(ValueError, match="BatchNorm1d has no weights to prune"):
        prunable_weights(nn.BatchNorm1d(3))


@pytest.mark.parametrize(
    ("build", "parameters"),
    [(vgg13, 9_416_010), (mini_vgg, 1_575_690)],
)
def test_the_vgg_family_has_the_parameters_of_the_readme(build, parameters):
    assert count_parameters(build()) == parameters


def test_mini_vgg_gives_ten_logits_and_refuses_other_images():
    model = mini_vgg().eval()
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(ValueError, match="expected N × 3 × 32 × 32"):
        model(torch.rand(2, 3, 28, 28))
