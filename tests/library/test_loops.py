"""The page "In your own loop" is run as it stands: its code really trains, in each loop."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nnc

PAGE = Path(__file__).parents[2] / "book" / "your_own_loop.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
BLOCKS = {
    section.splitlines()[0]: re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for section in SECTIONS
}


def network():
    return nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))


def accuracy(model):
    inputs, labels = problem()
    return (model(inputs).argmax(1) == labels).double().mean().item()


def problem():
    inputs = torch.randn(512, 6, generator=torch.Generator().manual_seed(1))
    return inputs, (inputs[:, 0] > inputs[:, 1]).long()


def names():
    torch.manual_seed(0)
    loader = DataLoader(TensorDataset(*problem()), batch_size=64, shuffle=False)
    return {"model": network(), "loader": loader, "examples": 512, "epochs": 60}


def run(code, given):
    with warnings.catch_warnings():
        # Lightning's own: of torch's trees, of few workers, of a logger that is not installed.
        warnings.simplefilter("ignore")
        exec(compile(code, str(PAGE), "exec"), given)


@pytest.mark.parametrize("loop", ["Plain PyTorch", "Accelerate", "Lightning"])
def test_the_loop_trains_under_the_prior_and_ends_in_a_file(loop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    if loop == "Lightning":
        pytest.importorskip("pytorch_lightning", reason="the test extra brings Lightning")
    given = names()
    run(BLOCKS[loop][0].replace("(max_epochs=epochs)", QUIET), given)
    sharing = given["sharing"]
    assert sharing.taken == 60 * 8
    run(BLOCKS["Plain PyTorch"][1], given)
    assert sharing.quantise().sparsity() > 0.3
    assert accuracy(nnc.load(tmp_path / "net.sws").load_into(network())) > 0.85


def test_batch_norms_statistics_are_taken_anew_as_the_page_has_it():
    given = names()
    given["model"] = model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    given["nnc"], given["quantised"] = nnc, nnc.quantise_kmeans(model.state_dict(), levels=4)
    run(BLOCKS["Plain PyTorch"][2], given)
    hidden = torch.cat([model[0](inputs) for inputs, _ in given["loader"]])
    found = given["quantised"].state_dict()
    assert torch.allclose(found["1.running_mean"], hidden.mean(0), atol=1e-5)
    assert torch.equal(found["0.weight"], model[0].weight)


QUIET = """(
    max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
    enable_checkpointing=False, enable_model_summary=False,
)"""


def test_a_lightning_checkpoint_holds_the_prior():
    pytest.importorskip("pytorch_lightning", reason="the test extra brings Lightning")
    given = names()
    run(BLOCKS["Lightning"][0].split("shared = Shared(")[0], given)
    one, other = (given["Shared"](network(), 512, 100) for _ in range(2))
    one.sharing.step()
    other.load_state_dict(one.state_dict())
    assert other.sharing.taken == 1
    assert torch.equal(other.sharing.prior.means, one.sharing.prior.means)
    assert not any(key.startswith("sharing._model") for key in one.state_dict())


def test_the_readmes_lines_run_on_someone_elses_network(tmp_path, monkeypatch):
    """Epochs are cut; all else is as printed."""
    monkeypatch.chdir(tmp_path)
    readme = (PAGE.parents[1] / "README.md").read_text(encoding="utf-8")
    section = readme.split("## Your own network")[1]
    code = re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0]
    torch.manual_seed(0)
    shape = [nn.Flatten(), nn.Linear(784, 20), nn.ReLU(), nn.Linear(20, 10)]
    given = {"model": nn.Sequential(*shape), "train": nnc.data.load("mnist-5k").train}
    run(code.replace("epochs, batch_size = 40", "epochs, batch_size = 2"), given)
    assert given["sharing"].taken == given["sharing"].steps
    stored = nnc.load(tmp_path / "small.sws").state_dict()
    assert all(torch.equal(stored[k], v) for k, v in given["again"].state_dict().items())
