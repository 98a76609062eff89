"""The two coders that the chapters explain and the file format does without."""

import numpy as np
import pytest
from coder_work import comes_back, long_and_sparse, matrices
from hypothesis import given, settings

from nnc.storage import StorageError
from nnc_book.coders import huffman, relative

# Two rows of eight weights, levels from -1 to 2.
MATRIX = np.array([[0, 0, 0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, -1, 1, 0]], dtype=np.int32)
BOUNDS = (-1, 2)
MINE = pytest.mark.parametrize("coder", [relative, huffman], ids=["relative", "huffman"])


def test_the_relative_index_by_hand():
    # Gaps 3, 9, 0. Two bits: 3; then 9 = 4 + 4 + 1, two bridges of gap 3 and value 0, then 1; 0.
    # Five entries of 2 + 2 bits against three of 4 + 2 (18 bits): four bits it is.
    # Gaps 0011 1001 0000, values (level + 1) 11 00 10.
    assert relative.encode(MATRIX, BOUNDS).hex() == "04033900c8"
    gap, value = relative.split(*relative.gaps_and_values(MATRIX), 2)
    assert gap.tolist() == [3, 3, 3, 1, 0]
    assert value.tolist() == [2, 0, 0, -1, 1]


def test_huffman_codes_by_hand():
    # Counts 5, 2, 1, 1, 0: the two ones meet, then the two with the 2, then all with the 5.
    lengths = huffman.code_lengths(np.array([5, 2, 1, 1, 0]))
    assert lengths.tolist() == [1, 2, 3, 3, 0]
    assert huffman._codes(lengths).tolist() == [0b0, 0b10, 0b110, 0b111, 0]


def test_huffman_bytes_by_hand():
    # One row: 1 1 1 1 1 -1 -1 2 0; no gap bits are best, so every weight is an entry.
    row = np.array([[1, 1, 1, 1, 1, -1, -1, 2, 0]], dtype=np.int32)
    data = huffman.encode(row, BOUNDS)
    # Gaps: width 0; eight entries (the last zero is left out); the only symbol 0 has length 1 in
    # the table, 00001 filled, and no bytes. Values -1, 0, 1, 2 come 2, 0, 5, 1 times: lengths
    # 2, 0, 1, 2, codes 10, none, 0, 11; 00010 00000 00001 00010; then 0 0 0 0 0 10 10 11.
    assert data.hex() == "00080800100220020560"


@MINE
@settings(deadline=None, max_examples=40)
@given(matrices())
def test_every_matrix_comes_back(coder, case):
    comes_back(coder, *case)


@MINE
def test_a_long_sparse_matrix_comes_back(coder):
    comes_back(coder, long_and_sparse(), (-1, 1))


@MINE
def test_bytes_that_do_not_fit_are_refused(coder):
    data = coder.encode(MATRIX, BOUNDS)
    for wrong in (b"\x09\x01", data[:-1], data + b"\0"):
        with pytest.raises(StorageError):
            coder.decode(wrong, MATRIX.shape, BOUNDS)
