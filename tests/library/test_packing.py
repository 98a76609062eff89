import json
import math
import pickle
import warnings

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn import utils

from nnc import cli, storage
from nnc.models import mini_vgg
from nnc.pruning.kmeans import quantise_kmeans
from nnc.storage import packing
from nnc.storage.packing import pack, unpack


@pytest.fixture
def state():
    torch.manual_seed(0)
    return {
        "conv.weight": torch.randn(6, 3, 3, 3),
        "conv.bias": torch.randn(6),
        "層.weight": torch.randn(4, 30),
        "norm.num_batches_tracked": torch.tensor(9),
    }


@pytest.mark.parametrize("kind", ["safetensors", "torch", "nested"])
def test_a_packed_network_is_the_clustered_one(tmp_path, state, kind, capsys):
    source, target = tmp_path / f"net.{kind}", tmp_path / "net.sws"
    if kind == "safetensors":
        safetensors.torch.save_file(state, source)
    else:
        torch.save(state if kind == "torch" else {"state_dict": state, "epoch": 3}, source)
    options = ["--bits", "3", "--prune", "0.5", "--precision", "float32"]
    assert cli.main(["pack", str(source), str(target), *options]) == 0
    assert "times smaller than float32; sparsity 0.5" in capsys.readouterr().out
    expected = quantise_kmeans(state, 8, 0.5).state_dict()
    found = storage.load(target).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_what_was_packed_can_be_inspected_and_unpacked(tmp_path, capsys):
    torch.manual_seed(0)
    model = mini_vgg()
    torch.save(model.state_dict(), tmp_path / "mini.pt")
    packed, dense = tmp_path / "mini.sws", tmp_path / "mini.safetensors"
    assert cli.main(["pack", str(tmp_path / "mini.pt"), str(packed), "--prune", "0.9"]) == 0
    assert cli.main(["inspect", str(packed)]) == 0
    assert "features.0.weight" in capsys.readouterr().out
    assert cli.main(["unpack", str(packed), str(dense)]) == 0
    model.load_state_dict(safetensors.torch.load_file(dense))
    assert storage.load(packed).sparsity() == pytest.approx(0.9, abs=1e-3)


def test_every_tensor_comes_back_in_its_type_and_shape(tmp_path):
    torch.manual_seed(0)
    floats = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
    state = {f"{kind}": torch.randn(8, 8).to(kind) for kind in floats}
    state |= {f"flat {kind}": torch.randn(3).to(kind) for kind in floats}
    state |= {
        "tiny": torch.randn(3).double() * 1e-40,
        "whole": torch.arange(6).reshape(2, 3),
        "yes": torch.tensor([[True, False]]),
        "none": torch.empty(0, 4),
        "scalar": torch.tensor(3.5),
        "no row": torch.empty(3, 0, dtype=torch.float64),
    }
    source, packed = (tmp_path / f"a.{kind}" for kind in ("safetensors", "sws"))
    safetensors.torch.save_file(state, source)
    assert cli.main(["pack", str(source), str(packed)]) == 0
    dense = tmp_path / "b.safetensors"
    assert cli.main(["unpack", str(packed), str(dense)]) == 0
    found = safetensors.torch.load_file(dense)
    assert {k: (v.dtype, v.shape) for k, v in found.items()} == {
        k: (v.dtype, v.shape) for k, v in state.items()
    }
    exact = ("whole", "yes", "none", "scalar", "no row", "tiny", "flat torch.bfloat16")
    assert all(torch.equal(found[name], state[name]) for name in exact)


def packed(tmp_path, state):
    torch.save(state, tmp_path / "net.pt")
    return packed_file(tmp_path / "net.pt")


def packed_file(source):
    target = source.with_name("net.sws")
    pack(source, target, 8, 0.0)
    return storage.load(target)


def test_prefixes_of_wrappers_are_taken_off(tmp_path):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    for wrapped in (
        torch.compile(model, backend="eager"),
        nn.DataParallel(model),
        nn.DataParallel(torch.compile(nn.DataParallel(model), backend="eager")),
    ):
        found = packed(tmp_path, wrapped.state_dict())
        assert list(found.codes) == ["0.weight", "1.weight"]
        assert found.load_into(wrapped) is wrapped
        assert torch.equal(model[0].weight, found.weight("0.weight"))
    # A name that only begins so in places is a name.
    state = {"module.w": torch.ones(2, 2), "w": torch.ones(2, 2)}
    assert list(packed(tmp_path, state).codes) == ["module.w", "w"]


def test_masked_weights_are_packed_as_they_act(tmp_path):
    torch.manual_seed(0)
    layer = nn.Linear(20, 10)
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(10, 20), layer)
    utils.prune.l1_unstructured(layer, "weight", 0.8)
    found = packed(tmp_path, model.state_dict())
    assert found.sparsity("0.weight") == 0.8
    assert found.ties == {"3.weight": "0.weight", "3.bias": "0.bias"}
    found.load_into(model)
    assert model[3] is model[0]
    assert torch.equal(model[0].weight, found.weight("3.weight"))


def test_ties_go_through_both_formats(tmp_path):
    torch.manual_seed(0)
    weight = torch.randn(20, 30)
    found = packed(tmp_path, {"a": weight, "b": weight, "c": torch.randn(2, 2)})
    assert found.ties == {"b": "a"}
    dense = tmp_path / "net.safetensors"
    unpack(tmp_path / "net.sws", dense)
    state = safetensors.torch.load_file(dense)
    assert torch.equal(state["a"], state["b"])
    assert packed_file(dense).ties == {"b": "a"}
    # As Hugging Face's save_model keeps it, under one name.
    safetensors.torch.save_file({"a": weight}, dense, {"b": "a", "format": "pt"})
    assert packed_file(dense).ties == {"b": "a"}
    # What the metadata say is not believed of tensors that differ.
    safetensors.torch.save_file({"a": weight, "b": weight + 1}, dense, {"b": "a"})
    assert packed_file(dense).ties == {}


def test_many_names_for_a_large_tensor_are_not_written_out(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_MOST_BYTES", 2000)
    weight = torch.ones(20, 30)
    packed(tmp_path, {"a": weight, "b": weight})
    with pytest.raises(ValueError, match="ties that take 2400 bytes when undone, allowed are 2"):
        unpack(tmp_path / "net.sws", tmp_path / "net.safetensors")


class Evil:
    def __reduce__(self):
        return (print, ("run!",))


EVIL = pickle.dumps(Evil(), protocol=2)
NORM_ERROR = "is of a weight that a parametrisation computes"
MASK_OF_ANOTHER = {"w_orig": torch.ones(2, 2), "w_mask": torch.ones(2)}
TWO_NAMES = {"w": torch.ones(2, 2), "_orig_mod.w": torch.ones(2, 2)}
EIGHT_BITS = torch.ones(2, 2).to(torch.float8_e4m3fn)


def made(change):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
    change(model[0])
    return model.state_dict()


def old(change):
    def changed(layer):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            change(layer)

    return changed


@pytest.mark.parametrize(
    ("write", "options", "message"),
    [
        (
            lambda p: p.write_bytes(EVIL),
            [],
            "cannot be read as weights",
        ),
        (lambda p: p.write_bytes(b"junk"), [], "cannot be read as weights (it begins with b'ju'"),
        (lambda p: p.write_bytes(b""), [], "cannot be read as weights (it begins with b''"),
        (lambda p: p.write_bytes(b"PK\3\4junk"), [], "cannot be read as weights ("),
        (lambda p: torch.save(torch.nn.Linear(2, 2), p), [], "holds more than tensors: objects"),
        (lambda p: torch.save({"w": torch.ones(2, 2), "n": 3}, p), [], "('n' is a int), must map"),
        (lambda p: torch.save(made(utils.parametrizations.weight_norm), p), [], NORM_ERROR),
        (lambda p: torch.save(made(utils.parametrizations.orthogonal), p), [], NORM_ERROR),
        (lambda p: torch.save(made(utils.parametrizations.spectral_norm), p), [], NORM_ERROR),
        (lambda p: torch.save(made(old(utils.weight_norm)), p), [], "0.weight_g' is of a weight"),
        (lambda p: torch.save(made(old(utils.spectral_norm)), p), [], "0.weight_orig' is of a wei"),
        (lambda p: torch.save(MASK_OF_ANOTHER, p), [], "'w_mask' has shape (2,), must have its"),
        (lambda p: torch.save(TWO_NAMES, p), [], "two tensors are 'w' without wrappers' prefixes"),
        (
            lambda p: torch.save({"w": torch.ones(2, 2).to_sparse()}, p),
            [],
            "memory, not torch.sparse_coo",
        ),
        (lambda p: torch.save({"w": torch.full((2, 2), math.nan)}, p), [], "w: values has numbers"),
        (lambda p: torch.save({"w": torch.ones(2, 2) * 1e6}, p), [], "choose precision 'float32'"),
        (
            lambda p: torch.save({"w": EIGHT_BITS}, p),
            [],
            "w: values is torch.float8_e4m3fn of shape (2, 2) on cpu, must be one of",
        ),
        (lambda p: torch.save([1, 2], p), [], "holds no state_dict"),
        (lambda p: torch.save({}, p), [], "holds no state_dict"),
        (lambda p: torch.save({"w": torch.ones(3)}, p), [], "at least a weight tensor"),
        (lambda p: None, [], "No such file"),
        (lambda p: torch.save({"w": torch.ones(2, 2)}, p), ["--bits", "17"], "--bits is 17"),
        (lambda p: torch.save({"w": torch.ones(2, 2)}, p), ["--bits", "0"], "--bits is 0"),
        (lambda p: torch.save({"w": torch.ones(2, 2)}, p), ["--prune", "1"], "prune is 1.0"),
    ],
)
def test_what_cannot_be_packed_is_said_in_one_line(tmp_path, capsys, write, options, message):
    source, target = tmp_path / "net.pt", tmp_path / "net.sws"
    write(source)
    assert cli.main(["pack", str(source), str(target), *options]) == 2
    out, err = capsys.readouterr()
    line = err.splitlines()[-1]
    assert line.startswith("nnc: ")
    assert message in line
    assert "run!" not in out
    assert not target.exists()


def test_packing_does_not_write_over_its_source(tmp_path, capsys):
    source = tmp_path / "net.pt"
    torch.save({"w": torch.ones(2, 2)}, source)
    before = source.read_bytes()
    assert cli.main(["pack", str(source), str(source)]) == 2
    assert "must end in .sws" in capsys.readouterr().err
    assert source.read_bytes() == before


def test_unpacking_needs_the_right_ending(tmp_path, capsys):
    assert cli.main(["unpack", str(tmp_path / "a.sws"), str(tmp_path / "b.pt")]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err


def test_a_network_in_several_files_is_one(tmp_path, state):
    names = list(state)
    files = {"a-1.safetensors": names[:2], "a-2.safetensors": names[2:]}
    for file, held in files.items():
        safetensors.torch.save_file({name: state[name] for name in held}, tmp_path / file)
    index = {"weight_map": {name: file for file, held in files.items() for name in held}}
    path = tmp_path / "a.safetensors.index.json"
    path.write_text(json.dumps(index))
    assert cli.main(["pack", str(path), str(tmp_path / "net.sws"), "--precision", "float32"]) == 0
    expected = quantise_kmeans(state, 16).state_dict()
    found = storage.load(tmp_path / "net.sws").state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    path.write_text("[]")
    with pytest.raises(ValueError, match="is no index of .safetensors files"):
        pack(path, tmp_path / "net.sws", 8, 0.0)


def test_a_damaged_file_is_not_unpacked(tmp_path, capsys):
    (tmp_path / "a.sws").write_bytes(b"SWS\2damaged")
    assert cli.main(["unpack", str(tmp_path / "a.sws"), str(tmp_path / "b.safetensors")]) == 2
    assert "a.sws: the file ends at byte" in capsys.readouterr().err
    assert not (tmp_path / "b.safetensors").exists()
