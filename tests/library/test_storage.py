import math
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz_storage import Mutator, bases, sealed, tried
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_networks import chain, network, same

import nnc
from nnc.storage import StorageError, container, describe, dumps, load, loads, save
from nnc.storage.bits import varint
from nnc.storage.compiled import COMPILED

GOLDEN = Path(__file__).parent / "golden"


@settings(deadline=None, max_examples=60)
@given(
    shape=st.one_of(
        st.just(()),
        st.tuples(st.integers(0, 5), st.integers(0, 400)),
        st.tuples(st.integers(1, 300), st.just(1)),
        st.tuples(*[st.integers(1, 3)] * 4),
    ),
    levels=st.integers(1, 400),
    sparsity=st.sampled_from([0, 0.5, 0.98, 1]),
)
def test_what_is_stored_comes_back(shape, levels, sparsity):
    one = network(shape, levels, sparsity)
    assert same(loads(dumps(one)), one)


@pytest.mark.parametrize("levels", [1, 2, 65_536])
def test_few_and_many_levels_come_back(levels):
    one = network((30, 40), levels, 0.1)
    assert same(loads(dumps(one)), one)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("precision", ["float32", "float16"])
@pytest.mark.parametrize("shape", [(), (0, 4), (30, 40)])
def test_weights_keep_their_type(kind, precision, shape):
    codes = network(shape, 9).codes
    book = torch.tensor([0.0, -1.5, 1e-5, 3.0, -2.0, 1.5, 6e-8, -6e-8, 3.0]).to(
        getattr(torch, kind)
    )
    if kind == "float64":
        book[1:] += 1e-13
    one = nnc.Quantised(codes, {"layer.weight": book}, {"x": book})
    again = loads(dumps(one, precision=precision))
    assert same(again, one)
    assert again.weight("layer.weight").dtype == book.dtype


def test_tied_tensors_are_stored_once_and_tied_again():
    torch.manual_seed(0)
    weight, bias = torch.randn(40, 30), torch.randn(30)
    state = {"a.bias": bias, "a": weight, "b": weight.detach(), "b.bias": bias, "c": weight.T}
    one = nnc.quantise_kmeans(state, 8)
    assert (one.ties, list(one.codes)) == ({"b": "a", "b.bias": "a.bias"}, ["a", "c"])
    once = nnc.quantise_kmeans({k: state[k] for k in ("a.bias", "a", "c")}, 8)
    assert len(dumps(one)) < len(dumps(once)) + 20
    again = loads(dumps(one))
    assert same(again, one)
    found = again.state_dict()
    assert found["b"] is found["a"]
    assert found["b.bias"] is found["a.bias"]
    assert torch.equal(found["c"], found["a"].T)
    entries = describe(dumps(one)).entries
    assert [(e.name, e.form, e.shape, e.size) for e in entries[3:]] == [
        ("b", "tied", (40, 30), 0),
        ("b.bias", "tied", (30,), 0),
    ]


def test_a_tied_name_in_a_file_byte_by_byte():
    """The matrix of the test below under a second name, written out by hand from the page."""
    body = bytes.fromhex("0000c03f 00 01 60")
    listed = bytes.fromhex(
        "00 02"  # no metadata, two tensors
        "00 01 77 01 07 02 02 02 02 01"  # w, as below
    )
    listed += struct.pack("<I", zlib.crc32(body))
    listed += bytes.fromhex("01 01 32 04 00")  # shares one byte, then 2: w2; tied, to tensor 0
    one = loads(sealed(listed, body))
    assert one.ties == {"w2": "w"}
    assert one.state_dict()["w2"].tolist() == [[0.0, 1.5], [1.5, 0.0]]
    assert dumps(one) == sealed(listed, body)


def test_more_levels_than_the_format_has_room_for_are_refused():
    with pytest.raises(StorageError, match="has 65537 levels, the format has room for 65,536"):
        dumps(network((2, 2), 65_537))


def test_layers_that_read_each_other_come_back():
    assert same(loads(dumps(chain())), chain())


@settings(deadline=None, max_examples=30)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=5, unique=True))
def test_names_in_any_script_come_back(names):
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            return  # half of a surrogate pair is no text
    codes = {name: torch.ones(1, 2, dtype=torch.int32) for name in names}
    books = {name: torch.tensor([0.0, 1.0]) for name in names}
    one = nnc.Quantised(codes, books, {})
    assert same(loads(dumps(one)), one)


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    ],
)
@pytest.mark.parametrize("shape", [(), (0,), (1, 3), (2, 0, 2), (2, 1, 2, 3), (40,)])
@pytest.mark.parametrize("distinct", [1, 3, 100])
def test_the_rest_keeps_its_types_and_shapes(dtype, shape, distinct):
    numbers = (torch.arange(math.prod(shape)) % distinct).reshape(shape).to(dtype)
    one = nnc.Quantised(
        {"w": torch.zeros(1, 1, dtype=torch.int32)}, {"w": torch.zeros(1)}, {"x": numbers}
    )
    assert same(loads(dumps(one)), one)


def test_strange_numbers_of_the_rest_come_back_bit_for_bit():
    strange = torch.tensor([math.nan, -math.nan, math.inf, -math.inf, -0.0, 0.0, 1e-45] * 9)
    for numbers in (strange, strange[:7]):
        one = nnc.Quantised(
            {"w": torch.zeros(1, 1, dtype=torch.int32)}, {"w": torch.zeros(1)}, {"x": numbers}
        )
        assert same(loads(dumps(one)), one)


def test_a_type_the_format_does_not_know_is_refused():
    one = nnc.Quantised(
        {"w": torch.zeros(1, 1, dtype=torch.int32)},
        {"w": torch.zeros(1)},
        {"x": torch.zeros(2, dtype=torch.complex64)},
    )
    with pytest.raises(StorageError, match="'x' is of type complex64, must be one of float32"):
        dumps(one)


def test_codebooks_in_any_order_and_with_equal_entries_come_back():
    codes = torch.tensor([[0, 1, 2, 3], [4, 5, 0, 0]], dtype=torch.int32)
    book = torch.tensor([0.0, 2.0, -1.0, 2.0, 0.0, -3.5])
    one = nnc.Quantised({"w": codes}, {"w": book}, {})
    assert same(loads(dumps(one)), one)


def test_half_precision_rounds_codebooks_and_the_rest():
    one = network((20, 20), 9)
    again = loads(dumps(one, precision="float16"))
    assert torch.equal(again.codes["layer.weight"], one.codes["layer.weight"])
    for found, stored in (
        (again.codebooks["layer.weight"], one.codebooks["layer.weight"]),
        (again.rest["bias"], one.rest["bias"]),
    ):
        assert torch.equal(found, stored.half().float())
    assert again.rest["steps"].item() == 7
    assert len(dumps(one, precision="float16")) < len(dumps(one))


def test_what_half_precision_cannot_hold_is_refused():
    one = nnc.Quantised(
        {"w": torch.ones(1, 1, dtype=torch.int32)}, {"w": torch.tensor([0.0, 1e6])}, {}
    )
    with pytest.raises(StorageError, match="'w' has values beyond float16"):
        dumps(one, precision="float16")
    with pytest.raises(StorageError, match="precision is 'int8', must be"):
        dumps(one, precision="int8")


def test_evenly_spaced_codebooks_are_a_scale_and_whole_numbers():
    scale = np.float32(0.0123)
    steps = np.concatenate([[0], np.arange(-127, 0), np.arange(1, 128)]).astype(np.float32)
    codes = torch.arange(255, dtype=torch.int32).reshape(15, 17)
    one = nnc.Quantised({"w": codes}, {"w": torch.from_numpy(steps * scale)}, {})
    entry = describe(dumps(one)).entries[0]
    assert (entry.stored, len(entry.numbers)) == ("int8", 4 + 255)
    assert same(loads(dumps(one)), one)


def test_the_same_network_is_the_same_bytes():
    assert dumps(chain()) == dumps(chain())
    one = network((9, 12), 4)
    other = nnc.Quantised(
        {"layer.weight": one.codes["layer.weight"].T.contiguous().T}, one.codebooks, one.rest
    )
    assert dumps(one) == dumps(other)


@pytest.mark.skipif(not COMPILED, reason="numba is not installed: there is one way only")
def test_compiled_and_plain_loops_write_the_same_bytes():
    program = (
        "import hashlib, storage_networks as s; from nnc.storage import dumps, loads; "
        "d = [dumps(n) for n in (s.chain(), s.network((40, 50), 30, 0.7), s.network((9, 9), 2))]; "
        "assert all(s.same(loads(b), n) for b, n in zip(d, (s.chain(),))); "
        "print(hashlib.sha256(b''.join(d)).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": ":".join(sys.path), "NUMBA_DISABLE_JIT": plain, "HOME": "/"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for plain in ("0", "1")
    }
    assert len(found) == 1


def test_metadata_is_kept_and_changes_nothing():
    data = dumps(chain(), metadata={"trained on": "MNIST", "名": "値"})
    assert describe(data).metadata == {"trained on": "MNIST", "名": "値"}
    assert same(loads(data), chain())


def test_the_sizes_of_a_description_add_up():
    data = dumps(chain())
    file = describe(data)
    assert file.size == len(data) == file.overhead + sum(entry.size for entry in file.entries)
    assert [e.name for e in file.entries] == [*chain().codes, *chain().rest]


def test_a_tiny_network_has_little_overhead():
    one = nnc.Quantised(
        {"layer.weight": torch.ones(4, 4, dtype=torch.int32)},
        {"layer.weight": torch.tensor([0.0, 1.0])},
        {"layer.bias": torch.randn(4)},
    )
    assert describe(dumps(one)).overhead < 100


def test_a_file_byte_by_byte():
    """One 2 × 2 matrix with the values 0 and 1.5; written out by hand from the page."""
    codes = torch.tensor([[0, 1], [1, 0]], dtype=torch.int32)
    one = nnc.Quantised({"w": codes}, {"w": torch.tensor([0.0, 1.5])}, {})
    body = bytes.fromhex(
        "0000c03f 00 01"  # the scale 1.5 and the steps 0 and 1
        "60"  # one bit a weight: 0110, filled with zeros
    )
    listed = bytes.fromhex(
        "00 01"  # no metadata, one tensor
        "00 01 77"  # shares nothing with the name before, one byte: w
        "01 07"  # raw, float32 held as int8
        "02 02 02"  # two dimensions, 2 × 2
        "02 01"  # two values in the codebook, 1 byte of levels
    )
    data = b"SWS\2" + bytes([len(listed) + 4]) + listed + struct.pack("<I", zlib.crc32(body))
    data += struct.pack("<I", zlib.crc32(data)) + body
    assert dumps(one) == data
    assert same(loads(data), one)


def test_frequent_words_are_a_byte():
    words = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = [f"a.{word}.{word}s" for word in words]
    one = nnc.Quantised({}, {}, {name: torch.ones(1) for name in names})
    data = dumps(one)
    assert b"\x05a.\xf8.\xf8s" not in data
    assert b"\x06a.\xf8.\xf8s" in data
    assert not any(word.encode() in data for word in words)
    assert same(loads(data), one)


def test_large_matrices_are_pieces_of_whole_rows(monkeypatch):
    monkeypatch.setattr(container, "PIECE", 100)
    one = network((33, 40), 5)
    (entry, *_) = describe(dumps(one)).entries
    assert len(entry.pieces) == 17
    assert same(loads(dumps(one)), one)
    wide = network((3, 140), 5)
    assert len(describe(dumps(wide)).entries[0].pieces) == 3
    assert same(loads(dumps(wide)), wide)


def test_chains_of_hints_have_an_end():
    names = [f"{place:02}" for place in range(40)]
    codes = {
        name: chain().codes["a"] * 0 + torch.eye(4, 18).reshape(4, 2, 3, 3).int() for name in names
    }
    codes = {name: torch.cat([codes[name].reshape(4, 18)] * 4, dim=1)[:, :64] for name in names}
    one = nnc.Quantised(codes, {name: torch.tensor([0.0, 1.0]) for name in names}, {})
    data = dumps(one)
    hinted = [entry.hint for entry in describe(data).entries]
    assert hinted.count(0) >= 3
    assert same(loads(data), one)
    entries = [
        replace(entry, hint=min(place, 1)) for place, entry in enumerate(describe(data).entries)
    ]
    with pytest.raises(StorageError, match="tensor '16' is the end of more than 16 hints"):
        loads(container.write(entries, {}))


def test_a_stored_network_has_the_same_logits(tmp_path):
    torch.manual_seed(0)
    model = nnc.LeNet300100()
    prior = nnc.GaussianMixturePrior(torch.tensor([-0.03, 0.03]), sigma=0.01, pi_0=0.9)
    small = nnc.quantise(model, prior)
    save(small, tmp_path / "file")
    small.load_into(model)
    images = torch.rand(5, 1, 28, 28)
    again = load(tmp_path / "file").load_into(nnc.LeNet300100())
    assert torch.equal(again(images), model(images))


def test_the_golden_file_is_read_and_written():
    """Its contents are said here, not computed."""
    data = (GOLDEN / "version-2.sws").read_bytes()
    found = loads(data)
    conv = [[[[0, 2], [0, 0]]], [[[1, 0], [0, 2]]], [[[0, 0], [0, 0]]]]
    assert found.codes["conv.weight"].tolist() == conv
    assert found.codebooks["conv.weight"].tolist() == [0.0, -0.5, 0.75]
    rows = [[(7 * r + c) % 5 if (r + c) % 3 == 0 else 0 for c in range(40)] for r in range(12)]
    assert found.codes["fc.weight"].tolist() == rows
    assert found.codebooks["fc.weight"].tolist() == [0.0, 0.125, -0.25, 1.0, 2.5]
    assert found.rest["fc.bias"].tolist() == [0.5, -1.5, 3.0]
    assert found.rest["norm.mean"].tolist() == [0.25] * 20
    assert found.rest["norm.tracked"].item() == 1170
    assert describe(data).metadata == {"note": "golden"}
    assert dumps(found, metadata={"note": "golden"}) == data


# Files from strangers.


def test_every_truncation_is_an_error():
    data = dumps(chain())
    for length in range(len(data)):
        with pytest.raises(StorageError):
            loads(data[:length])


def test_every_flipped_bit_is_an_error():
    data = dumps(chain())
    for place in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        with pytest.raises(StorageError):
            loads(bytes(damaged))


@pytest.mark.parametrize("seed", range(4))
def test_files_that_lie_are_refused_or_read_and_nothing_else(seed):
    """20,000 damaged files with a right checksum; `scripts/fuzz_storage.py` runs for longer."""
    stream = random.Random(seed)
    mutators = [Mutator(file, stream) for file in bases()]
    found = Counter(tried(stream.choice(mutators)()) for _ in range(5000))
    assert set(found) == {"refused", "decoded"}


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    for file in (data, b"SWS\2" + data, sealed(data), sealed(data[:9], data[9:])):
        try:
            assert not loads(file, max_bytes=2**12).codes
        except StorageError:
            continue


BOOK = struct.pack("<2f", 0.0, 1.0)
BODY = BOOK + b"\x60"
TIE, TIE_2 = b"\0\1v\4", b"\0\1u\4"  # heads of tied tensors, but for the place of the other


def head(
    name=b"w", form=1, kinds=0, shape=(2, 2), values=2, sizes=(1,), body=BODY, shared=0, hint=b""
):
    """The head of a coded tensor, as the page says."""
    return b"".join(
        [
            varint(shared) + varint(len(name)) + name + bytes([form]) + hint + bytes([kinds]),
            varint(len(shape)) + b"".join(map(varint, shape)),
            varint(values) + b"".join(map(varint, sizes)),
            struct.pack("<I", zlib.crc32(body)),
        ]
    )


def file(*heads, count=1, metadata=b"", body=BODY):
    return sealed(varint(len(metadata)) + metadata + varint(count) + b"".join(heads), body)


def told(body, **more):
    """A file whose only tensor has another body, and a checksum that fits it."""
    return file(head(body=body, **more), body=body)


LARGE = file(head(shape=(2**20, 2**20), sizes=(1,) * 2**19), body=BOOK + bytes(2**19))


def test_the_files_made_here_are_right_where_nothing_is_wrong():
    assert loads(file(head())).weight("w").tolist() == [[0.0, 1.0], [1.0, 0.0]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "begins with b''"),
        (b"PK\3\4" + bytes(20), "the file begins with b'PK"),
        (b"SWS\1" + bytes(20), "version is 1, this release reads 2; store the network again"),
        (b"SWS\2", "the file ends at byte 4"),
        (b"SWS\2ab", "the file ends at byte 6"),
        (b"SWS\2" + bytes(20), "checksum of the directory"),
        (LARGE, "allowed are max_bytes = 1"),
        (file(head(shape=(2**30, 2**20))), "has 536870912 pieces, more than the directory lists"),
        (told(BOOK + b"\x41", form=3, shape=(2**11, 2**10)), "1 bytes cannot hold 2097152"),
        (file(head(), head(shared=1, name=b""), count=2), "the name 'w' occurs twice"),
        (file(head(shared=3)), "shares more than there is"),
        (file(head(name=b"\xff")), "is not UTF-8"),
        (file(head(form=9)), "'w' is of an unknown kind"),
        (file(head(form=16)), "of an unknown kind"),
        (file(head(form=65)), "of an unknown kind"),
        (file(TIE + b"\0", count=1), "'v' is tied to tensor 0, which is none with values"),
        (file(head(), TIE + b"\0", TIE_2 + b"\1", count=3), "'u' is tied to tensor 1, whi"),
        (file(head(), TIE + b"\2", count=2), "'v' is tied to tensor 2"),
        (file(head(kinds=0xF0)), "of an unknown kind"),
        (file(head(shape=(1,) * 65)), "of an unknown kind"),
        (file(head(form=33, hint=b"\1")), "'w' takes hints from what is no matrix"),
        (
            file(head(), head(b"v", 33, shape=(2, 3), hint=b"\1"), count=2),
            "'v' takes hints from what",
        ),
        (
            file(head(form=17), head(b"v", 33, hint=b"\1"), count=2),
            "'v' takes hints from what is no",
        ),
        (file(head(), body=BODY + b"\0"), "1 bytes follow the last tensor"),
        (file(head(), b"x"), "1 bytes follow the last tensor in the directory"),
        (file(head(), body=BOOK), "the file ends at byte"),
        (file(head(), body=BOOK + b"\x61"), "tensor 'w': the checksum does not fit its bytes"),
        (sealed(b"\xff" * 12), "a malformed number"),
        (sealed(b"\x80\x00"), "a malformed number"),
        (file(head(), metadata=b"[1]"), "metadata must be a JSON object of texts"),
        (file(head(), metadata=b"[" * 9999), "metadata must be a JSON object"),
        (told(b"", values=0, sizes=()), "a codebook of 0 values, must have 1 to"),
        (told(struct.pack("<2f", 1.0, 0.0) + b"\x60"), "finite, and start with 0"),
        (told(struct.pack("<2f", 0, math.nan) + b"\x60"), "finite, and start with 0"),
        (file(head(kinds=0x22)), "the file ends at byte"),
        (file(head(kinds=0x55)), "must be floating point, finite"),
        (told(b"\0\1\x60", kinds=0x08), "float32 cannot be stored as uint8"),
        (told(BODY + b"\0", sizes=(2,)), "take 1 bytes, not 2"),
        (file(head(form=2)), "'w': the matrix ends at byte 1"),
        (told(BOOK + b"\x40", form=3), "was scanned is not known"),
    ],
)
def test_lies_are_named(data, message):
    with pytest.raises(StorageError, match=message):
        loads(data)


def test_absurd_sizes_take_no_memory():
    absurd = [
        file(head(shape=(2**40, 2**20))),
        file(head(shape=(1, 2**60))),
        file(head(values=2**50)),
        file(head(sizes=(2**55,))),
        file(varint(0) + varint(2**60)),
        file(head(), count=2**60),
        b"SWS\2" + varint(2**60) + bytes(50),
    ]
    tracemalloc.start()
    for data in absurd:
        with pytest.raises(StorageError):
            loads(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_the_memory_limit_is_the_callers():
    data = dumps(network((10, 10), 3))
    needed = 400 + 12 + 8
    assert loads(data, max_bytes=needed).codes["layer.weight"].shape == (10, 10)
    with pytest.raises(StorageError, match=f"the network takes {needed} bytes"):
        loads(data, max_bytes=needed - 1)


def test_an_archive_lists_and_reads_tensor_by_tensor(tmp_path):
    one = nnc.Quantised(chain().codes, chain().codebooks, chain().rest, {"again": "c", "y": "x"})
    save(one, tmp_path / "net.sws", metadata={"made by": "a test"})
    archive = nnc.open(tmp_path / "net.sws")
    assert archive.metadata == {"made by": "a test"}
    assert archive.size == (tmp_path / "net.sws").stat().st_size
    state = one.state_dict()
    assert list(archive) == list(state)
    assert len(archive) == len(state)
    for name in reversed(list(state)):
        entry = archive.entries[name]
        assert (entry.shape, entry.kind) == (tuple(state[name].shape), str(state[name].dtype)[6:])
        assert torch.equal(archive[name], state[name])
        owner = one.ties.get(name, name)
        assert archive.tied_to(name) == owner
        if owner in one.codes:
            codes, book = archive.quantised(name)
            assert torch.equal(codes, one.codes[owner])
            assert torch.equal(book, one.codebooks[owner])
        else:
            with pytest.raises(ValueError, match=f"name is '{name}', which is not quantised"):
                archive.quantised(name)
    with pytest.raises(KeyError):
        archive["nothing"]
    with pytest.raises(StorageError, match="the network takes"):
        nnc.open(tmp_path / "net.sws", max_bytes=100)["b"]


def test_damage_is_found_in_its_tensor_alone(tmp_path):
    data = bytearray(dumps(chain()))
    data[-1] ^= 1
    (tmp_path / "net.sws").write_bytes(data)
    archive = nnc.open(tmp_path / "net.sws")
    good = {name: archive[name] for name in archive if name != "x"}
    assert all(torch.equal(tensor, chain().state_dict()[name]) for name, tensor in good.items())
    with pytest.raises(StorageError, match=r"net.sws: tensor 'x': the checksum does not fit"):
        archive["x"]
    for wrong in (b"", b"SWS\2junk"):
        (tmp_path / "bad.sws").write_bytes(wrong)
        with pytest.raises(StorageError, match=r"bad.sws: the file"):
            nnc.open(tmp_path / "bad.sws")


def test_errors_name_the_path_and_the_tensor(tmp_path):
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(StorageError, match="junk: the file begins with b'jun'"):
        load(tmp_path / "junk")
    with pytest.raises(StorageError, match="tensor 'w': "):
        loads(told(BOOK + b"\x40", form=3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nnc.save(torch.nn.Linear(2, 2), "a.sws"), "quantised is a Linear, must be a Quan"),
        (lambda: nnc.save({"w": torch.ones(2)}, "a.sws"), "quantised is a dict, must be a Quant"),
        (lambda: nnc.save(chain(), 3), "path is 3, must be the name of a file"),
        (lambda: nnc.save(chain(), "a", metadata=["x"]), r"metadata has \['x'\], must be texts"),
        (lambda: nnc.save(chain(), "a", metadata={"x": 3}), "metadata has 3, must be texts"),
        (lambda: nnc.save(chain(), "a", metadata={"x": "\ud800"}), "half of a surrogate pair"),
        (lambda: nnc.quantise_kmeans(torch.nn.Linear(2, 2), 4), "state is a Linear, must be what"),
        (lambda: nnc.load(None), "path is None, must be the name of a file"),
        (lambda: nnc.load(b"SWS"), "path is b'SWS', must be the name of a file"),
        (lambda: loads("net.sws"), "data is a str, must be bytes; nnc.load takes a path"),
        (lambda: loads(dumps(chain()), max_bytes=-1), "max_bytes is -1, must be a whole number"),
        (lambda: loads(dumps(chain()), max_bytes="1 GB"), "max_bytes is '1 GB', must be a whole"),
        (lambda: nnc.Quantised({}, {}, {"x": 3.0}), r"rest\['x'\] is 3.0, must be a dense"),
    ],
)
def test_arguments_of_another_kind_are_named(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message) as refused:
        call()
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())
