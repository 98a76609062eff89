"""What every coder of matrices is put through, those of the file format and those of the book."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def matrices(draw):
    """A matrix of levels, int32, and their bounds."""
    rows, columns = draw(st.integers(1, 30)), draw(st.integers(1, 60))
    low = draw(st.sampled_from([0, -1, -2, -9, -300]))
    high = draw(st.sampled_from([0, 1, 2, 9, 3000]))
    sparsity = draw(st.sampled_from([0, 0.5, 0.97, 1]))
    stream = np.random.default_rng(draw(st.integers(0, 1000)))
    levels = stream.integers(low, high + 1, (rows, columns)).astype(np.int32)
    levels[stream.random((rows, columns)) < sparsity] = 0
    return levels, (low, high)


def comes_back(coder, levels, bounds):
    """Encode and decode a matrix; how many bytes lay between."""
    data = coder.encode(levels, bounds)
    found = coder.decode(data, levels.shape, bounds)
    assert found.dtype == np.int32
    assert np.array_equal(found, levels)
    return len(data)


def long_and_sparse():
    """Three long rows with two weights in them, levels from -1 to 1."""
    levels = np.zeros((3, 9000), dtype=np.int32)
    levels[1, 4000], levels[2, 8999] = 1, -1
    return levels
