"""The networks that the book compresses.

Images of another shape or of an integer type are a ValueError that says what to do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nnc.hints import check


class ImageClassifier(nn.Module):
    """A network that takes images of one shape, channels × height × width, to ten logits."""

    input_shape = (1, 28, 28)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, N × 10, of N images of ``input_shape``, floating point, pixels in [0, 1].

        Images of another shape or an integer type are a ValueError.
        """
        _check_images(images, self.input_shape)
        return self.logits(images)

    def logits(self, images: Tensor) -> Tensor:
        raise NotImplementedError


class LeNet300100(ImageClassifier):
    """LeNet-300-100: two fully connected hidden layers, 266,610 parameters.

    784 → 300 → 100 → 10 with ReLU between. Source: LeCun, Bottou, Bengio and Haffner,
    "Gradient-based learning applied to document recognition" (1998), section III.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 300)
        self.fc2 = nn.Linear(300, 100)
        self.fc3 = nn.Linear(100, 10)

    def logits(self, images: Tensor) -> Tensor:
        hidden = torch.relu(self.fc1(images.flatten(1)))
        hidden = torch.relu(self.fc2(hidden))
        return self.fc3(hidden)


class LeNet5Caffe(ImageClassifier):
    """LeNet-5 as shipped with Caffe: two convolutions, two linear layers, 431,080 parameters.

    Convolutions 1 → 20 → 50 with 5 × 5 kernels, each followed by 2 × 2 maximum pooling, then
    800 → 500 → 10 with ReLU between. Source: Jia et al., "Caffe" (2014), the MNIST example.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 20, kernel_size=5)
        self.conv2 = nn.Conv2d(20, 50, kernel_size=5)
        self.fc1 = nn.Linear(800, 500)
        self.fc2 = nn.Linear(500, 10)

    def logits(self, images: Tensor) -> Tensor:
        features = nn.functional.max_pool2d(self.conv1(images), 2)
        features = nn.functional.max_pool2d(self.conv2(features), 2)
        return self.fc2(torch.relu(self.fc1(features.flatten(1))))


class VGG(ImageClassifier):
    """A VGG network for 32 × 32 images: convolutions with batch norm, pools, one linear layer.

    Every convolution has 3 × 3 kernels, padding 1 and a bias, and is followed by batch
    normalisation and ReLU; five 2 × 2 maximum pools bring 32 × 32 down to 1 × 1, and a linear
    layer gives the logits. Source: Simonyan and Zisserman, "Very deep convolutional networks for
    large-scale image recognition" (2015), table 1, with its three linear layers replaced by one.

    Args:
        configuration: output channels of the convolutions in order, ``"pool"`` for each of the
            five pools; any other is a ValueError.
    """

    input_shape = (3, 32, 32)

    def __init__(self, configuration: Sequence[int | str]) -> None:
        super().__init__()
        known = (entry == "pool" or (type(entry) is int and entry > 0) for entry in configuration)
        fits = configuration.count("pool") == 5 and all(known)
        allowed = 'numbers of channels from 1 and "pool" five times, down to one pixel'
        check("configuration", tuple(configuration), fits, allowed)
        layers: list[nn.Module] = []
        channels = 3
        for entry in configuration:
            if isinstance(entry, int):
                convolution = nn.Conv2d(channels, entry, kernel_size=3, padding=1)
                layers += [convolution, nn.BatchNorm2d(entry), nn.ReLU(inplace=True)]
                channels = entry
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 10)

    def logits(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(2 * images - 1).flatten(1))


def vgg13() -> VGG:
    """VGG-13 for 32 × 32 images: 10 convolutions, 9,416,010 parameters."""
    return VGG((64, 64, "pool", 128, 128, "pool", 256, 256, "pool", *(512, 512, "pool") * 2))


def mini_vgg() -> VGG:
    """MiniVGG, the student: 5 convolutions of 32 to 512 channels, 1,575,690 parameters."""
    return VGG((32, "pool", 64, "pool", 128, "pool", 256, "pool", 512, "pool"))


def count_parameters(model: nn.Module) -> int:
    """Number of scalars in all parameters of a model; buffers do not count."""
    return sum(parameter.numel() for parameter in model.parameters())


def answer(model: nn.Module, images: Tensor) -> Tensor:
    """``model(images)``; a ValueError where it cannot take images of this shape or type."""
    try:
        return model(images)
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        reason = next(iter(str(error).splitlines()), "no reason given")
        raise ValueError(
            f"images has shape {tuple(images.shape)} and type {images.dtype}, which model "
            f"{type(model).__name__} cannot take ({reason}); model(images) says where"
        ) from None


def _check_images(images: Tensor, expected: tuple[int, ...]) -> None:
    """Refuse what the first layer could only answer with a matrix-size traceback."""
    shape = tuple(images.shape)
    if shape[1:] != expected:
        wanted = " × ".join(["N", *map(str, expected)])
        remedy = "reshape or resize the images first"
        if len(shape) == 4 and (shape[1], expected[0]) == (1, 3):
            remedy = "images.expand(-1, 3, -1, -1) repeats a grey channel"
        elif len(shape) == 4 and (shape[1], expected[0]) == (3, 1):
            remedy = "images.mean(1, keepdim=True) makes colours grey"
        raise ValueError(f"images has shape {shape}, expected {wanted}; {remedy}")
    allowed = "floating point; convert pixels with nnc.data.as_input(images)"
    check("images", images, images.is_floating_point(), allowed)
