import math

import numpy as np
import pytest
from coder_work import comes_back, long_and_sparse, matrices
from hypothesis import given, settings

from nnc.storage import CODERS, StorageError, arithmetic, bits, context, csr, raw
from nnc.storage.compiled import numbers, octets

# Two rows of eight weights, levels from -1 to 2.
MATRIX = np.array([[0, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, -1, 1, 0]], dtype=np.int32)
BOUNDS = (-1, 2)


def test_raw_by_hand():
    # level + 1 in two bits: 01 01 01 11 | 01 01 01 01 | 01 01 01 01 | 01 00 10 01
    assert raw.encode(MATRIX, BOUNDS).hex() == "57555549"


def test_compressed_sparse_rows_by_hand():
    # pointers 0 1 3, columns 3 5 6, values (level + 1) 3 0 2, a byte each
    assert csr.encode(MATRIX, BOUNDS).hex() == "000103030506030002"


def test_numbers_of_any_size_by_hand():
    assert [bits.varint(n).hex() for n in (0, 127, 128, 300, 2**62)] == [
        "00", "7f", "8001", "ac02", "808080808080808040",
    ]  # fmt: skip
    for number in (0, 1, 127, 128, 2**31, 2**63 - 1):
        assert bits.Reader(bits.varint(number), "it").varint() == number


@pytest.mark.parametrize("name", CODERS)
@settings(deadline=None, max_examples=40)
@given(matrices())
def test_every_matrix_comes_back(name, case):
    comes_back(CODERS[name], *case)


@pytest.mark.parametrize("name", CODERS)
@settings(deadline=None, max_examples=40)
@given(matrices())
def test_no_byte_is_left_over(name, case):
    """More bytes are an error; after an arithmetic code they can be one of another matrix."""
    levels, bounds = case
    data = CODERS[name].encode(levels, bounds)
    for spare in (b"\0", bytes(5), b"\1", b"\x80", b"\xff", b"\0\0\1", b"\xff" * 5):
        try:
            found = CODERS[name].decode(data + spare, levels.shape, bounds)
        except StorageError:
            continue
        assert name == "context"
        assert any(spare)
        assert not np.array_equal(found, levels)


def test_zeros_that_a_reader_wants_are_no_spare_bytes():
    """Beyond 65,536 weights a byte; the code itself is shorter."""
    levels = np.zeros((10, 65_536), dtype=np.int32)
    data = context.encode(levels, (0, 1))
    assert np.array_equal(context.decode(data, levels.shape, (0, 1)), levels)
    with pytest.raises(StorageError, match="does not end where the matrix does"):
        context.decode(data + b"\0", levels.shape, (0, 1))


def test_bits_and_columns_that_say_nothing_are_refused():
    raw_bytes = raw.encode(MATRIX[:, :7], BOUNDS)
    with pytest.raises(StorageError, match="not followed by zeros"):
        raw.decode(raw_bytes[:-1] + bytes([raw_bytes[-1] | 1]), (2, 7), BOUNDS)
    for wrong in ("000103030605030002", "000103030505030002", "000103030506030102"):
        with pytest.raises(StorageError, match="not in order|does not fit"):
            csr.decode(bytes.fromhex(wrong), (2, 8), BOUNDS)


@pytest.mark.parametrize("name", CODERS)
def test_a_long_sparse_matrix_comes_back(name):
    comes_back(CODERS[name], long_and_sparse(), (-1, 1))


@pytest.mark.parametrize("hinted", [False, True])
@pytest.mark.parametrize("width", [1, 3, 28, 63])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_every_scan_comes_back(transposed, full, width, hinted):
    stream = np.random.default_rng(width)
    levels = (stream.integers(-9, 10, (20, 84)) * (stream.random((20, 84)) < 0.3)).astype(np.int32)
    hints = np.arange(84) if hinted else None
    scan = context.Scan(transposed, full, width)
    assert context.Scan.of(scan.byte) == scan
    data = bytes([scan.byte]) + context._encode(levels, (-9, 9), scan, hints)
    assert np.array_equal(context.decode(data, (20, 84), (-9, 9), hints=hints), levels)


def test_contexts_earn_their_keep():
    """Rows and columns that are empty, and levels that go together: far below the entropy."""
    stream = np.random.default_rng(0)
    levels = np.zeros((100, 200), dtype=np.int32)
    rows, columns = stream.random(100) < 0.2, stream.random(200) < 0.3
    block = np.ix_(rows, columns)
    levels[block] = np.sign(np.cumsum(stream.normal(size=(rows.sum(), columns.sum())), axis=1))
    _, counts = np.unique(levels, return_counts=True)
    entropy = (counts * -np.log2(counts / levels.size)).sum() / 8
    assert len(context.encode(levels, (-1, 1))) < 0.7 * entropy


def test_decisions_come_back_and_cost_what_they_should():
    stream = np.random.default_rng(1)
    chances = stream.integers(1, 65536, 5000)
    decisions = (stream.integers(0, 65536, 5000) < chances).astype(int)
    coder, buffer = arithmetic.encoder(), octets(bytes(4000))
    for chance, bit in zip(chances.tolist(), decisions.tolist(), strict=True):
        arithmetic.decide(coder, buffer, chance, bit)
    data = arithmetic.finish(coder, buffer)
    likely = np.where(decisions, chances, 65536 - chances) / 65536
    assert len(data) <= -np.log2(likely).sum() / 8 + 3
    coder, buffer = arithmetic.decoder(data), octets(data)
    found = [arithmetic.decide(coder, buffer, chance, 0) for chance in chances.tolist()]
    assert found == decisions.tolist()


@pytest.mark.parametrize("chance", [1, 2, 32768, 65534, 65535])
@pytest.mark.parametrize("bit", [0, 1])
def test_carries_run_through(chance, bit):
    """Long runs of one decision leave bytes of 255 that a late carry has to change."""
    decisions = [bit] * 700 + [1 - bit] + [0] * 9
    coder, buffer = arithmetic.encoder(), octets(bytes(4000))
    for decision in decisions:
        arithmetic.decide(coder, buffer, chance, decision)
    data = arithmetic.finish(coder, buffer)
    coder, buffer = arithmetic.decoder(data), octets(data)
    assert [arithmetic.decide(coder, buffer, chance, 0) for _ in decisions] == decisions


def test_no_decisions_are_no_bytes():
    assert arithmetic.finish(arithmetic.encoder(), octets(bytes(8))) == b""


def test_a_full_buffer_is_noticed():
    coder, buffer = arithmetic.encoder(), octets(bytes(4))
    for _ in range(9):
        arithmetic.decide(coder, buffer, 1, 1)
    assert arithmetic.finish(coder, buffer) is None


def test_the_logarithm_is_right_to_its_last_step():
    table = context.log2_table(4000, 5, 2)
    exact = 256 * np.log2(5 * np.arange(4000) + 2.0)
    assert np.abs(table - exact).max() <= 2
    assert (np.diff(table) >= 0).all()


def test_probabilities_follow_the_log_odds():
    table = context._squash_table()
    odds = np.arange(-3072, 3073) / 256
    assert np.abs(table / 65536 - 1 / (1 + 2**-odds)).max() < 0.002
    assert table.min() >= 8
    assert table.max() <= 65536 - 8
    assert (np.diff(table) >= 0).all()


def test_half_octaves_by_hand():
    assert [context._half_octaves(n) for n in range(10)] == [0, 2, 3, 4, 4, 5, 5, 6, 6, 6]


def test_one_cannot_promise_more_weights_than_bytes_can_hold():
    with pytest.raises(StorageError, match="cannot hold"):
        context.decode(b"\x41", (2**10, 2**10), (0, 1))


def test_a_level_beyond_the_bounds_is_damage():
    """Levels up to 4 and up to 3 both take two bits, so only the bounds can tell."""
    data = context.encode(np.full((3, 3), 4, dtype=np.int32), (0, 4))
    with pytest.raises(StorageError, match="a level lies outside 0 to 3"):
        context.decode(data, (3, 3), (0, 3))


def test_numbers_change_in_place_where_loops_need_it():
    state = numbers(np.zeros(3))
    state[1] = 5
    assert math.isclose(sum(state), 5)
