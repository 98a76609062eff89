import json
import math
import random
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import nnc
from nnc.storage import StorageError, csr, dumps, load, loads, save


def network(shape, levels, sparsity=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, levels, shape, generator=generator, dtype=torch.int32)
    codes[torch.rand(shape, generator=generator) < sparsity] = 0
    book = torch.cat([torch.zeros(1), torch.randn(levels - 1, generator=generator)])
    rest = {"bias": torch.randn(3, generator=generator), "steps": torch.tensor(7)}
    return nnc.Quantised({"layer.weight": codes}, {"layer.weight": book}, rest)


def same(one, other):
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(
        torch.equal(a[k], b[k]) and a[k].dtype == b[k].dtype for k in a
    )


def test_rows_by_hand():
    matrix = torch.tensor([[0, 0, 2], [0, 0, 0], [1, 0, 3]])
    pointers, columns, values = csr.encode(matrix)
    assert pointers.tolist() == [0, 1, 1, 3]
    assert columns.tolist() == [2, 0, 2]
    assert values.tolist() == [2, 1, 3]
    assert {pointers.dtype, columns.dtype, values.dtype} == {torch.uint8}


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


def test_the_same_network_is_the_same_bytes():
    assert dumps(network((9, 9), 4)) == dumps(network((9, 9), 4))


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


def test_every_truncation_is_an_error():
    data = dumps(network((3, 4), 3))
    for length in range(len(data)):
        with pytest.raises(StorageError):
            loads(data[:length])


def test_a_flipped_bit_is_an_error_or_changes_nothing():
    one = network((6, 7), 5)
    data, stream = dumps(one), random.Random(0)
    for _ in range(600):
        damaged = bytearray(data)
        damaged[stream.randrange(len(data))] ^= 1 << stream.randrange(8)
        try:
            found = loads(bytes(damaged))
        except StorageError:
            continue
        assert same(found, one)


def with_metadata(data, **changes):
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] |= changes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "other"}, "format is 'other', must be 'nnc-csr'"),
        ({"version": "2"}, "version is '2', this release reads '1'"),
        ({"shapes": '{"layer.weight":[1000000,1000000]}'}, "allowed are max_bytes"),
        ({"shapes": '{"layer.weight":[-1,4]}'}, "shapes must map names"),
        ({"shapes": "[" * 100_000}, "damaged"),
        ({"crc32": "00000000"}, "checksum"),
    ],
)
def test_headers_that_lie_are_refused(changes, message):
    with pytest.raises(StorageError, match=message):
        loads(with_metadata(dumps(network((3, 4), 3)), **changes))


def test_the_memory_limit_is_the_callers():
    data = dumps(network((10, 10), 3))
    assert loads(data, max_bytes=400).codes["layer.weight"].shape == (10, 10)
    with pytest.raises(StorageError, match="the network takes 400 bytes"):
        loads(data, max_bytes=399)


def test_a_name_with_a_colon_is_refused():
    one = nnc.Quantised({"a:b": torch.zeros(1, 1, dtype=torch.int32)}, {"a:b": torch.zeros(1)}, {})
    with pytest.raises(StorageError, match="contains ':'"):
        dumps(one)


def test_errors_name_the_path(tmp_path):
    (tmp_path / "junk").write_bytes(b"junk")
    with pytest.raises(StorageError, match="junk: the file has 4 bytes"):
        load(tmp_path / "junk")


@pytest.mark.parametrize("metadata", [[], "x", None, 1])
def test_a_header_of_another_kind_is_refused(metadata):
    text = json.dumps({"__metadata__": metadata}).encode()
    with pytest.raises(StorageError):
        loads(struct.pack("<Q", len(text)) + text)


def test_a_negative_column_is_refused(monkeypatch):
    lying = [torch.tensor(numbers) for numbers in ([0, 1], [-5], [1])]
    monkeypatch.setattr(csr, "encode", lambda _: lying)
    with pytest.raises(StorageError):
        loads(dumps(network((1, 3), 2)))


@pytest.mark.parametrize(
    "dtype",
    [
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.uint8, torch.bool),
    ],
)
@settings(deadline=None, max_examples=8)
@given(shape=st.sampled_from([(), (0,), (1, 3), (3, 1), (2, 0, 2), (2, 1, 2, 3)]))
def test_the_rest_keeps_its_types_and_shapes(dtype, shape):
    numbers = torch.arange(12)[: math.prod(shape)].reshape(shape).to(dtype)
    one = nnc.Quantised(
        {"w": torch.zeros(1, 1, dtype=torch.int32)}, {"w": torch.zeros(1)}, {"x": numbers}
    )
    again = loads(dumps(one)).rest["x"]
    assert (again.dtype, again.shape) == (dtype, shape)
    assert torch.equal(again, numbers)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(data):
    with pytest.raises(StorageError):
        loads(data)


def test_a_changed_shape_is_refused():
    changed = with_metadata(dumps(network((6, 6), 3)), shapes='{"layer.weight":[6,7]}')
    with pytest.raises(StorageError):
        loads(changed)
