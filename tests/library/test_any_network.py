"""Networks of every kind go through sharing, a file and back, or are refused by a tensor's name."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import utils
from torch.nn.utils import parametrizations, prune

import nnc

Made = tuple[nn.Module, Tensor]
# torch.compile's own, as it looks at a parameter of a wrapped module.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


class Tied(nn.Module):
    """Embedding and output layer are one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.inner = nn.Linear(8, 8)
        self.head = nn.Linear(8, 30, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(torch.relu(self.inner(self.embedding(tokens))))


class Shared(nn.Module):
    """One layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.again = self.first

    def forward(self, x: Tensor) -> Tensor:
        return self.again(torch.relu(self.first(x)))


class Recurrent(nn.Module):
    """An embedding, an LSTM, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 6)
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(tokens))[0][:, -1])


class Buffered(nn.Module):
    """Buffers of two dimensions, of whole numbers, of no elements, and one that is not kept."""

    table: Tensor
    empty: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("table", torch.randn(4, 4))
        self.register_buffer("places", torch.arange(6).reshape(2, 3))
        self.register_buffer("yes", torch.tensor([[True, False]]))
        self.register_buffer("scale", torch.tensor(2.0))
        self.register_buffer("empty", torch.empty(0, 4))
        self.register_buffer("passing", torch.ones(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) @ self.table + self.empty.sum()


class Bare(nn.Module):
    """Parameters of no layer, one of them empty, one a scalar, one frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3))
        self.nothing = nn.Parameter(torch.empty(0, 3))
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.fixed = nn.Parameter(torch.randn(3, 2), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x @ self.weight @ self.fixed + self.nothing.sum()


def convolutions() -> Made:
    layers = (
        nn.Conv2d(4, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, groups=8), nn.GroupNorm(2, 8), nn.Conv2d(8, 6, 1),
        nn.ConvTranspose2d(6, 3, 2, stride=2), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip
    model = nn.Sequential(*layers)
    x = torch.randn(5, 4, 8, 8)
    model(x)
    return model, x


def linear() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))


def changed(change: Callable[[nn.Module], object]) -> Callable[[], Made]:
    def build() -> Made:
        model = linear()
        with warnings.catch_warnings(action="ignore", category=FutureWarning):
            change(model[0])
            change(model[2])
        return model, torch.randn(5, 6)

    return build


def without_a_row(change: Callable[[nn.Module], object]) -> Callable[[], Made]:
    """The length of one row of a normalised weight is zero: so is the row."""

    def build() -> Made:
        model, x = changed(change)()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith(("_g", "original0")):
                    parameter[1] = 0
        return model, x

    return build


def transformer() -> Made:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), torch.randn(2, 5, 8)


def typed(kind: torch.dtype) -> Callable[[], Made]:
    def build() -> Made:
        layers = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
        return nn.Sequential(*layers).to(kind), torch.randn(5, 1, 6, 6).to(kind)

    return build


def compiled_inside() -> Made:
    model = linear()
    model[2] = torch.compile(model[2], backend="eager")
    return model, torch.randn(5, 6)


def masked_twice() -> Made:
    """One masked layer in two places."""
    model = Shared()
    prune.l1_unstructured(model.first, "weight", 0.5)
    return model, torch.randn(5, 6)


def masked(layer: nn.Module) -> None:
    prune.l1_unstructured(layer, "weight", 0.3)
    prune.random_structured(layer, "weight", 0.2, dim=0)
    prune.l1_unstructured(layer, "bias", 0.3)


NETWORKS: dict[str, Callable[[], Made]] = {
    "tied": lambda: (Tied(), torch.randint(30, (4, 7))),
    "shared": lambda: (Shared(), torch.randn(5, 6)),
    "masked twice": masked_twice,
    "recurrent": lambda: (Recurrent(), torch.randint(12, (4, 7))),
    "transformer": transformer,
    "attention": lambda: (
        nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True),
        torch.randn(2, 3, 8),
    ),
    "convolutions": convolutions,
    "buffers": lambda: (Buffered(), torch.randn(5, 4)),
    "bare": lambda: (Bare(), torch.randn(5, 4)),
    "bilinear": lambda: (nn.Bilinear(4, 4, 3), torch.randn(5, 4)),
    "bag": lambda: (nn.EmbeddingBag(20, 4), torch.randint(20, (5, 3))),
    "one weight": lambda: (nn.Linear(1, 1), torch.randn(5, 1)),
    "masked": changed(masked),
    "weight norm": changed(parametrizations.weight_norm),
    "older weight norm": changed(utils.weight_norm),
    "weight norm, an empty row": without_a_row(parametrizations.weight_norm),
    "older weight norm, an empty row": without_a_row(utils.weight_norm),
    "spectral norm": changed(parametrizations.spectral_norm),
    "older spectral norm": changed(utils.spectral_norm),
    "orthogonal": changed(parametrizations.orthogonal),
    "compiled": lambda: (torch.compile(linear(), backend="eager"), torch.randn(5, 6)),
    "compiled inside": compiled_inside,
    "parallel": lambda: (nn.DataParallel(linear()), torch.randn(5, 6)),
    "wrapped twice": lambda: (
        nn.DataParallel(torch.compile(linear(), backend="eager")),
        torch.randn(5, 6),
    ),
    "float64": typed(torch.float64),
    "bfloat16": typed(torch.bfloat16),
    "float16": typed(torch.float16),
}


def answer(model: nn.Module, x: Tensor) -> Tensor:
    model.eval()
    with torch.no_grad():
        if isinstance(model, nn.Transformer | nn.Bilinear):
            return model(x, x)
        return model(x)


def types(state: dict[str, Tensor]) -> dict[str, tuple[torch.dtype, torch.Size]]:
    return {name: (tensor.dtype, tensor.shape) for name, tensor in state.items()}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_shared_stored_and_loaded_again(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = NETWORKS[kind]()
    other = NETWORKS[kind]()[0]
    # By likelihood, so that not all becomes zero after three steps.
    sharing = nnc.SoftWeightSharing(model, examples=100, steps=20, tau=0.1, by="likelihood")
    groups = [{"params": model.parameters(), "lr": 1e-3}, *sharing.parameter_groups()]
    optimiser = torch.optim.SGD(groups)
    model.train()
    for _ in range(3):
        out = model(x, x) if isinstance(model, nn.Transformer | nn.Bilinear) else model(x)
        loss = out.float().square().mean() + sharing.penalty()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        sharing.step()
    assert torch.isfinite(loss)
    small = sharing.quantise()
    assert 0 < small.sparsity() < 1 or kind == "one weight"
    nnc.save(small, tmp_path / "net.sws")
    found = nnc.load(tmp_path / "net.sws")
    assert types(found.state_dict()) == types(small.state_dict())
    # Both the network itself and one that was never trained answer as the file says.
    answers = [answer(found.load_into(into), x) for into in (model, other)]
    assert torch.equal(*answers)
    plain = {k: v.cpu() for k, v in nnc.weights.plain_state(other).items()}
    assert types(plain) == types(found.state_dict())
    assert all(torch.equal(plain[k], v) for k, v in found.state_dict().items())


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_frozen_trained_on_and_taken_out(kind: str) -> None:
    torch.manual_seed(0)
    model, x = NETWORKS[kind]()
    answer(model, x)
    found = nnc.quantise_kmeans(nnc.weights.plain_state(model), 5)
    nnc.freeze(model, found)
    model.train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-2)
    out = model(x, x) if isinstance(model, nn.Transformer | nn.Bilinear) else model(x)
    out.float().square().mean().backward()
    optimiser.step()
    trained = answer(model, x)
    again = nnc.unfreeze(model)
    assert again.ties == found.ties
    assert all(torch.equal(again.codes[name], codes) for name, codes in found.codes.items())
    # torch has a faster way, which rounds differently, through attention whose weights are plain.
    assert torch.allclose(answer(model, x), trained, atol=1e-5)
    assert torch.allclose(answer(again.load_into(model), x), trained, atol=1e-5)


def test_a_tied_matrix_is_stored_once_and_stays_tied(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Tied()
    found = nnc.quantise_kmeans(model.state_dict(), 16)
    assert (list(found.codes), found.ties) == (
        ["embedding.weight", "inner.weight"],
        {"head.weight": "embedding.weight"},
    )
    nnc.save(found, tmp_path / "net.sws")
    found = nnc.load(tmp_path / "net.sws")
    found.load_into(model)
    assert model.head.weight is model.embedding.weight
    assert nnc.freeze(model, found) is model
    nnc.unfreeze(model)
    assert model.head.weight is model.embedding.weight


def test_a_model_that_ties_what_differs_is_refused_and_left() -> None:
    torch.manual_seed(0)
    apart, tied = Tied(), Tied()
    apart.head.weight = nn.Parameter(torch.randn(30, 8))
    found = nnc.quantise_kmeans(apart.state_dict(), 4)
    before = copy.deepcopy(tied.state_dict())
    with pytest.raises(ValueError, match=r"ties head\.weight to embedding\.weight, which differ"):
        found.load_into(tied)
    assert all(torch.equal(before[name], value) for name, value in tied.state_dict().items())
    prune.l1_unstructured(tied.head, "weight", 0.5)
    with pytest.raises(ValueError, match=r"has the weight head\.weight, masked .* and tied to"):
        found.load_into(tied)


def nan(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        next(model.parameters())[0] = torch.nan
    return model


class Extra(nn.Linear):
    def get_extra_state(self) -> dict[str, int]:
        return {"seen": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        pass


def without_direction() -> nn.Module:
    """A row of zeros has no direction: torch's own answer is NaN."""
    model = linear()
    parametrizations.weight_norm(model[0])
    with torch.no_grad():
        model[0].parametrizations.weight.original1[1] = 0  # type: ignore[index, union-attr]
    return model


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nan(linear()), "0.weight"),
        (without_direction, "0.weight"),
        (lambda: Extra(3, 3), "_extra_state"),
        (lambda: nn.LazyLinear(3), "weight"),
        (lambda: nn.Linear(3, 3, device="meta"), "weight"),
        (lambda: nn.ParameterList([torch.zeros(2, 2).cfloat()]), "no weights to prune"),
        (lambda: nn.BatchNorm1d(3), "no weights to prune"),
        (lambda: linear().state_dict(), "model is a OrderedDict, must be a torch.nn.Module"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_one_line(
    build: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        nnc.SoftWeightSharing(build(), examples=10, steps=10).quantise()
    assert "\n" not in str(refused.value)
