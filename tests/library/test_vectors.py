"""Every reader reads the test vectors, and refuses those that are to be refused."""

import make_vectors
import page_decoder
import pytest
import torch
import vectors
from fuzz_reader import COMPILER, SOURCES, built, said
from storage_networks import same
from vectors import FOLDER, NAMES, REFUSED, file, lines, plain

import nnc
from nnc.storage import StorageError, describe, loads


def test_they_are_what_the_script_writes_and_small():
    found = {str(p.relative_to(FOLDER)): p.read_bytes() for p in FOLDER.rglob("*.*")}
    assert found == dict(make_vectors.files())
    assert sum(map(len, found.values())) < 200_000


def test_they_have_every_kind():
    entries = [entry for name in NAMES for entry in describe(file(name)).entries]
    assert {e.form for e in entries} == {"as is", "raw", "csr", "context", "tied"}
    assert {e.kind for e in entries if e.rest} == set(vectors.TYPES)
    assert {e.kind for e in entries if e.rest and e.form == "context"} >= {
        "float64",
        "bool",
        "int8",
    }
    assert {e.kind for e in entries if not e.rest} == set(vectors.TYPES[:4])
    assert {e.stored for e in entries if not e.rest and e.kind == "float32"} == {
        *("float32", "float16", "int8", "int16", "int32"),
    }
    assert sum(e.hint > 0 for e in entries) >= 3
    assert max(len(e.pieces) for e in entries) == 2
    assert {len(e.shape) for e in entries} >= {0, 1, 2, 4}


@pytest.mark.parametrize("name", NAMES)
def test_python_reads_them(name):
    told, found = plain(name), loads(file(name))
    parts = {"codes": {}, "codebooks": {}, "rest": {}, "ties": {}}
    for tensor in told["tensors"]:
        if "place" in tensor:
            parts["ties"][tensor["name"]] = tensor["tied to"]
        elif "codes" in tensor:
            parts["codes"][tensor["name"]] = tensor["codes"]
            parts["codebooks"][tensor["name"]] = tensor["codebook"]
        else:
            parts["rest"][tensor["name"]] = tensor["dense"]
    assert same(found, nnc.Quantised(**parts))
    assert describe(file(name)).metadata == told["metadata"]


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
def test_c_reads_them(tmp_path):
    reader = built(SOURCES / "read_all.c", tmp_path / "read_all")
    for name, found in zip(NAMES, said(reader, map(file, NAMES)), strict=True):
        assert found == [*lines(name), "= 0 all is well"], name
    for name, found in zip(REFUSED, said(reader, map(bad, REFUSED)), strict=True):
        assert not found[-1].startswith("= 0"), name


@pytest.mark.parametrize("name", sorted({*NAMES} - {"pieces"}))
def test_the_decoder_from_the_page_reads_them(name):
    found, metadata = page_decoder.decode(file(name))
    told = plain(name)
    assert metadata == told["metadata"]
    assert list(found) == [tensor["name"] for tensor in told["tensors"]]
    for tensor in told["tensors"]:
        form, codes, book, numbers = found[tensor["name"]]
        numbers = numbers if form == 0 else [book[code] for code in codes]
        numbers = torch.tensor(numbers, dtype=torch.float64)
        assert torch.equal(numbers.nan_to_num(7), tensor["dense"].flatten().double().nan_to_num(7))


def bad(name):
    return (FOLDER / "refused" / f"{name}.sws").read_bytes()


@pytest.mark.parametrize("name", REFUSED)
def test_python_refuses_what_is_to_be_refused(name):
    with pytest.raises(StorageError):
        loads(bad(name))
