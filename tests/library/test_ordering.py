"""Hidden units in another order: the same answers, a smaller file."""

import torch
from batch_norms import randomised
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import nnc


class Skipping(nn.Module):
    """The second layer is read by the sum, not by the third alone."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        hidden = self.two(self.one(x))
        return hidden + self.three(hidden)


class Block(nn.Module):
    """A residual block of ResNet, with a shortcut of its own where it changes the width."""

    def __init__(self, before, after):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, padding=1), nn.BatchNorm2d(after)
        wider = nn.Sequential(nn.Conv2d(before, after, 1), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if before == after else wider

    def forward(self, x):
        inside = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inside)) + self.shortcut(x))


def resnet():
    stem = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU()]
    blocks = [Block(6, 6), Block(6, 8), Block(8, 8)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def separable():
    """A depthwise convolution and one whose channels stay in groups."""
    deep = [nn.Conv2d(3, 8, 1), nn.PReLU(8), nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8)]
    grouped = [nn.Conv2d(8, 6, 1), nn.GroupNorm(2, 6), nn.ReLU(), nn.Conv2d(6, 4, 1)]
    return nn.Sequential(*deep, *grouped, nn.Flatten(), nn.Linear(4 * 14 * 14, 3))


def transformer():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.Sequential(nn.Linear(3, 8), nn.TransformerEncoder(layer, 2), nn.Linear(8, 4))


def sparse(model, seed=0):
    """The network quantised, four of five of its weights zero."""
    generator = torch.Generator().manual_seed(seed)
    randomised(model, seed)
    for slopes in (part.weight for part in model.modules() if isinstance(part, nn.PReLU)):
        slopes.data.uniform_(generator=generator)
    for weight in nnc.prunable_weights(model).values():
        weight.data[torch.rand(weight.shape, generator=generator) < 0.8] = 0
    names = nnc.prunable_weights(model)
    return nnc.Quantised.from_state_dict(model.state_dict(), names)


def moved(one, other):
    """The tensors that differ."""
    one, other = one.state_dict(), other.state_dict()
    assert list(one) == list(other)
    return {name for name in one if not torch.equal(one[name], other[name])}


def check(model, inputs):
    """Sort; the answers stay; the names of what moved."""
    quantised = sparse(model)
    with torch.no_grad():
        before = model(inputs)
    sorted_ = nnc.sort_units(quantised, model, inputs)
    with torch.no_grad():
        assert torch.equal(model(inputs), before)  # the given model is as it was
        after = sorted_.load_into(model)(inputs)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    return moved(sorted_, quantised)


IMAGES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def test_chains_move_whole():
    model = nnc.LeNet300100()
    assert check(model, torch.rand(2, 1, 28, 28)) == set(model.state_dict()) - {"fc3.bias"}
    model = nnc.LeNet5Caffe()
    assert check(model, torch.rand(2, 1, 28, 28)) == set(model.state_dict()) - {"fc2.bias"}
    model = nnc.VGG((4, "pool", 8, "pool", 16, 8, "pool", 8, "pool", 8, "pool"))
    fixed = {name for name in model.state_dict() if "num_batches" in name} | {"classifier.bias"}
    assert check(model, torch.rand(2, 3, 32, 32)) == set(model.state_dict()) - fixed


def test_weights_that_were_parametrised_and_stand_behind_their_bias_move_too():
    model = nnc.LeNet300100()
    for layer in model.children():
        torch.nn.utils.parametrizations.weight_norm(layer)
    nnc.make_plain(model)
    assert list(model.state_dict())[:2] == ["fc1.bias", "fc1.weight"]
    assert check(model, torch.rand(2, 1, 28, 28)) == set(model.state_dict()) - {"fc3.bias"}


def test_blocks_and_their_streams_move_whole():
    model = resnet()
    fixed = {name for name in model.state_dict() if "num_batches" in name} | {"8.bias"}
    assert check(model, IMAGES) == set(model.state_dict()) - fixed


def test_channels_in_groups_stay():
    assert check(separable(), IMAGES) == {
        *("0.weight", "0.bias", "1.weight", "2.weight", "2.bias", "4.weight"),
        *("3.weight", "3.bias", "3.running_mean", "3.running_var"),
        *("7.weight", "7.bias", "9.weight"),
    }


def test_a_transformer_moves_inside_its_two_layers():
    found = check(transformer(), torch.rand(2, 5, 3))
    inside = ("linear1.weight", "linear1.bias", "linear2.weight")
    assert found == {f"1.layers.{i}.{name}" for i in (0, 1) for name in inside}


def test_what_is_read_twice_stays():
    assert check(Skipping(), torch.rand(5, 4)) == {"one.weight", "one.bias", "two.weight"}


def test_tied_tensors_stay():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6))
    model[4].weight = model[2].weight
    assert check(model, torch.rand(5, 4)) == set()


@settings(deadline=None, max_examples=40)
@given(
    widths=st.lists(st.integers(1, 12), min_size=2, max_size=5),
    norms=st.booleans(),
    seed=st.integers(0, 99),
)
def test_random_chains_keep_their_answers(widths, norms, seed):
    torch.manual_seed(seed)
    layers = [
        part
        for before, after in zip([5, *widths], widths, strict=False)
        for part in (nn.Linear(before, after), *[nn.BatchNorm1d(after)] * norms, nn.Tanh())
    ]
    check(nn.Sequential(*layers), torch.randn(3, 5))
