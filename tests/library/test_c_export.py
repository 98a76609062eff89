"""A network as C: it compiles without a warning, runs under sanitizers, and answers as Python."""

import subprocess
from pathlib import Path

import fuzz_reader
import numpy as np
import pytest
import torch
from fuzz_reader import SANITIZED, SOURCES, built
from torch import nn

import nnc
from nnc import cli
from nnc.storage import export_c

RECORDS = Path(__file__).parent.parent.parent / "book" / "nnc_book" / "records"

compiles = pytest.mark.skipif(
    fuzz_reader.COMPILER is None, reason="there is no C compiler, so what is exported cannot be run"
)


def answers(folder, images, options=SANITIZED):
    """What the exported program says of images."""
    program = built(SOURCES / "predict.c", folder / "predict", *options, f"-I{folder}")
    done = subprocess.run(
        [program], input=images.numpy().tobytes(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    found = torch.from_numpy(np.frombuffer(done.stdout, np.float32).copy())
    return found.reshape(len(images), -1)


def same_answers(folder, model, images, options=SANITIZED):
    with torch.no_grad():
        expected = model.eval()(images)
    found = answers(folder, images, options)
    assert (found - expected).abs().max() < 1e-4
    assert torch.equal(found.argmax(1), expected.argmax(1))


def quantised(model, levels=5, prune=0.5):
    return nnc.quantise_kmeans(model.state_dict(), levels, prune=prune)


@compiles
@pytest.mark.parametrize("options", [SANITIZED, ["-Os"]], ids=["sanitized", "small"])
@pytest.mark.parametrize(
    ("record", "model"),
    [("lenet300-sws", nnc.LeNet300100), ("lenet5-kd-sws", nnc.LeNet5Caffe)],
)
def test_recorded_networks_answer_as_in_python(tmp_path, record, model, options):
    digits = nnc.data.load("mnist-5k").test
    images = nnc.data.as_input(digits.images[: 12 if options is SANITIZED else 60])
    small = nnc.load(RECORDS / record / "seed-0.sws")
    export_c(small, model(), tmp_path)
    same_answers(tmp_path, small.load_into(model()), images, options)


@compiles
def test_a_network_with_batch_norm_and_colours_answers_as_in_python(tmp_path):
    small = nnc.load(RECORDS / "mini-vgg-kd-sws" / "seed-0.sws")
    export_c(small, nnc.mini_vgg(), tmp_path)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    same_answers(tmp_path, small.load_into(nnc.mini_vgg()), images, ["-O2"])
    assert not list(tmp_path.glob("*.sws"))


class Odd(nn.Module):
    """Everything that is allowed, with sides, strides and paddings that all differ."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 5, (3, 2), (2, 1), (1, 2)))
        self.norm = nn.BatchNorm2d(5, affine=False)
        self.pool = nn.MaxPool2d((3, 2), (1, 2), (1, 0))
        self.second = nn.Conv2d(5, 4, 3, bias=False)
        self.last = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(4 * 3 * 3, 6), nn.ReLU())
        self.norms = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 3, bias=False))

    def forward(self, x):
        x = self.pool(self.norm(self.first((x + 1) / 3 - 0.25)).relu_())
        return self.norms(self.last(self.second(x))) * 2


@compiles
def test_every_layer_that_is_allowed_answers_as_in_python(tmp_path):
    torch.manual_seed(0)
    model = Odd().train()
    images = torch.randn(9, 2, 9, 7)
    for _ in range(30):
        model(images)  # statistics that are not 0 and 1
    small = quantised(model)
    small.load_into(model)
    export_c(small, model, tmp_path / "a" / "b", input_shape=(2, 9, 7))
    same_answers(tmp_path / "a" / "b", model, images)


@compiles
def test_weights_that_are_not_quantised_and_tied_ones_answer_as_in_python(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 6))
    model[3].weight = model[0].weight
    state = model.state_dict()
    small = quantised(model)
    images = torch.randn(5, 6)
    for one in (small, nnc.Quantised({}, {}, state, {}), nnc.Quantised({}, {}, _few(state), {})):
        export_c(one, model, tmp_path, input_shape=[6])
        same_answers(tmp_path, one.load_into(model), images)


def _few(state):
    """Weights with few values, the most frequent of which is not zero: the file codes them."""
    return {name: (tensor > 0.5).float() / 2 + 0.25 for name, tensor in state.items()}


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        return x + self.layer(x)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.GELU()), (3,), "aten.gelu.default in 1, must be a chai"),
        (nn.Sequential(nn.Linear(3, 3), nn.Softmax(1)), (3,), "aten.softmax.int in 1, must be"),
        (Branches(), (3,), "aten.add.Tensor of more than what comes before it in its forward"),
        (nn.Sequential(nn.Linear(3, 3)), (2, 3), "a linear layer of what is not flat in 0"),
        (nn.Sequential(nn.Conv2d(2, 2, 1, groups=2)), (2, 3, 3), "dilation or groups in 0"),
        (nn.Sequential(nn.Conv2d(1, 1, 2, dilation=2)), (1, 3, 3), "dilation or groups in 0"),
        (nn.Sequential(nn.Conv2d(1, 1, 3, padding="same")), (1, 3, 3), "aten.conv2d.padding in 0"),
        (
            nn.Sequential(nn.Conv2d(1, 1, 1), nn.MaxPool2d(2, ceil_mode=True)),
            (1, 3, 3),
            "a pool with dilation or ceil_mode in 1",
        ),
    ],
)
def test_other_layers_are_refused_in_one_line(tmp_path, model, shape, message):
    with pytest.raises(ValueError, match=message) as refused:
        export_c(quantised(model), model, tmp_path, input_shape=shape)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "my-net"}, "name is 'my-net', must be one that C allows"),
        ({}, r"input_shape is missing and the model has none"),
        ({"input_shape": (4,)}, r"images has shape \(1, 4\) .*cannot take"),
    ],
)
def test_other_arguments_are_refused(tmp_path, options, message):
    model = nn.Sequential(nn.Linear(3, 3))
    with pytest.raises(ValueError, match=message):
        export_c(quantised(model), model, tmp_path, **options)


def made():
    """A network that the command line can name."""
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))


@compiles
def test_the_command_line_writes_c(tmp_path, capsys):
    torch.manual_seed(0)
    model = made()
    small = quantised(model)
    nnc.save(small, tmp_path / "net.sws")
    command = ["export", str(tmp_path / "net.sws"), "--c", str(tmp_path / "out")]
    command += ["--model", f"{__name__}:made", "--input", "2x3"]
    assert cli.main(command) == 0
    assert "net.c: compile it with -Os" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("net.c", "net.h", "sws.h", "layers.h"),
    }
    same_answers(tmp_path / "out", small.load_into(model), torch.randn(3, 2, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model", "lenet"], "--model is 'lenet', must be one of lenet300, lenet5, mini_vgg"),
        (["--model", "no_such_module:f"], "No module named 'no_such_module'"),
        (["--model", "torch.nn:NoLayer"], "--model is 'torch.nn:NoLayer', which cannot be made"),
        (["--model", "lenet5"], "model LeNet5Caffe does not fit the quantised network"),
        (["--model", f"{__name__}:made", "--input", "2,3"], "--input is '2,3', must be sizes, as"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(tmp_path, capsys, options, message):
    nnc.save(quantised(made()), tmp_path / "net.sws")
    arguments = ["export", str(tmp_path / "net.sws"), "--c", str(tmp_path / "out"), *options]
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
