import json
from pathlib import Path

import numpy as np
import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from test_widgets import run_node

import nnc_book.widgets
from nnc_book.widgets import Storing

MODULE = Path(nnc_book.widgets.__file__).with_name("storing.js")
CODERS = ("raw", "compressed sparse rows", "relative index", "Huffman")


def in_the_page(matrices):
    """For each matrix and coder the fields: bits, and the entries that they speak of."""
    return run_node(f"""
        const {{ encode }} = await import("{MODULE.as_uri()}");
        const found = {json.dumps(matrices)}.map((rows) => {json.dumps(CODERS)}.map(
            (coder) => encode(rows, coder).map(({{ bits, cells, says }}) => [bits, cells, says])));
        console.log(JSON.stringify(found));
    """)


def agree(matrix, found):
    for coder, fields in zip(CODERS, found, strict=True):
        text = "".join(bits for bits, _, _ in fields)
        assert len(text) % 8 == 0
        data = int(text or "0", 2).to_bytes(len(text) // 8, "big")
        assert data == Storing(matrix=matrix).encoded()[coder], coder


MATRICES = [
    Storing().matrix,
    [[0]],
    [[0] * 8] * 4,
    [[1] * 5] * 3,
    [[0, -1, 0], [-2, 0, 0]],
    [[0] * 40, [*[0] * 39, 3]],
    [[5, -7, 0, 1, 0, 0, 2, 7]],
    np.arange(-7, 8).reshape(3, 5).tolist(),
]


def test_the_page_writes_the_bytes_that_the_package_writes():
    for matrix, found in zip(MATRICES, in_the_page(MATRICES), strict=True):
        agree(matrix, found)


@given(
    st.lists(
        st.lists(st.sampled_from((0, 0, 0, 0, 1, 2, -1, 6)), min_size=9, max_size=9),
        min_size=1,
        max_size=9,
    )
)
@settings(max_examples=10, deadline=None)
def test_any_matrix_is_written_alike(matrix):
    agree(matrix, in_the_page([matrix])[0])


def test_fields_speak_of_the_entries_that_they_hold():
    matrix = Storing().matrix
    flat = [level for row in matrix for level in row]
    lit = [i for i, level in enumerate(flat) if level]
    plain, rows, gaps, _ = in_the_page([matrix])[0]
    assert [cells for _, cells, _ in plain] == [[i] for i in range(32)]
    pointers = [cells for _, cells, _ in rows[:5]]
    assert pointers == [[1, 4, 7], [], [17, 22], [28], []]
    assert [cells for _, cells, _ in rows[5:]] == [[i] for i in lit] * 2
    bridges = [cells[0] for _, cells, says in gaps if "a bridge" in says]
    assert all(flat[i] == 0 for i in bridges)
    assert len(bridges) == 1


def test_it_has_a_still_picture_and_says_what_it_is():
    data, _ = Storing()._repr_mimebundle_()
    assert data["text/plain"] == "Storing(4 × 8, coder='relative index')"
    assert "image/png" in data


@pytest.mark.parametrize(
    "traits",
    [{"matrix": [[1, 2], [3]]}, {"matrix": []}, {"matrix": [[8]]}, {"matrix": [[0] * 61] * 2},
     {"coder": "zip"}, {"chosen": -1}],
)  # fmt: skip
def test_values_out_of_range_are_refused(traits):
    with pytest.raises(traitlets.TraitError):
        Storing(**traits)
