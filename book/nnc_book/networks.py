"""Networks that only the book trains, and what it asks of networks: layers, multiplications."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nnc.models import VGG, ImageClassifier
from nnc.pruning.folding import normalised_layers


class MLP(ImageClassifier):
    """Fully connected layers with ReLU between, from 28 × 28 pixels to 10 classes.

    With 1200 and 1200 hidden units and dropout it is the teacher, with 800 and 800 the student of
    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015), section 3.

    Args:
        hidden: units of each hidden layer.
        dropout: probability with which a hidden unit is left out in training.
    """

    def __init__(self, *hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = (784, *hidden, 10)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.dropout = dropout

    def logits(self, images: Tensor) -> Tensor:
        values = images.flatten(1)
        for layer in self.layers[:-1]:
            values = nn.functional.dropout(torch.relu(layer(values)), self.dropout, self.training)
        return self.layers[-1](values)


def vgg11() -> VGG:
    """VGG-11 for 32 × 32 images: 8 convolutions, 9,231,114 parameters."""
    return VGG((64, "pool", 128, "pool", 256, 256, "pool", *(512, 512, "pool") * 2))


def vgg16() -> VGG:
    """VGG-16 for 32 × 32 images: 13 convolutions, 14,728,266 parameters."""
    tail = (256, 256, 256, "pool", *(512, 512, 512, "pool") * 2)
    return VGG((64, 64, "pool", 128, 128, "pool", *tail))


def count_layers(model: nn.Module) -> int:
    """Number of convolutions, batch norms, activations, pools and linear layers of a VGG network.

    This is the count under which the README that this book implements speaks of 36 layers for
    VGG-13 and of 21 for MiniVGG. With weights (convolutions and the linear layer) they are 11
    and 6.
    """
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d, nn.Linear)
    return sum(isinstance(module, kinds) for module in model.modules())


def count_operations(model: nn.Module) -> int:
    """Multiplications that one image takes in convolutions and matrix products.

    Args:
        model: a network with an ``input_shape``, channels × height × width.
    """
    # A copy, because a pass in training mode would change the statistics of batch norm.
    probe = copy.deepcopy(model).cpu().eval()
    image = torch.zeros(1, *model.input_shape)  # type: ignore[misc]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        probe(image)
    return counter.get_total_flops() // 2  # a multiplication and an addition each


@torch.no_grad()
def rescale(model: nn.Module, deviation: float) -> nn.Module:
    """Give the weights of every layer that batch norm follows the same standard deviation.

    Batch norm divides by the deviation of what it sees, so a layer's weights may be multiplied by
    any number if the running mean is multiplied by it and the running variance by its square.
    One mixture prior then means the same in every layer. Layers without a batch norm stay.

    Args:
        model: layers directly followed by their batch norm, in the order of registration.
        deviation: of the weights of each such layer, > 0.

    Returns:
        A copy in the same mode; its logits are the same up to batch norm's small ``eps``.

    Raises:
        ValueError: the deviation is not positive, or the weights of a layer are all equal.
    """
    if not deviation > 0:
        raise ValueError(f"deviation is {deviation}, must be positive")
    scaled = copy.deepcopy(model)
    for layer, norm in normalised_layers(scaled):
        factor = deviation / layer.weight.std()
        if not bool(torch.isfinite(factor)):
            raise ValueError(
                "model has a layer before a batch norm whose weights are all equal, must "
                "differ to be given a deviation; train it first"
            )
        for tensor in (layer.weight, layer.bias, norm.running_mean):
            if tensor is not None:
                tensor.mul_(factor)
        if norm.running_var is not None:
            norm.running_var.mul_(factor**2)
    return scaled
