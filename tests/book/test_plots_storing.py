import numpy as np
import pytest

import nnc_book.plots
from nnc_book.plots import Picture


def test_the_interval_narrows_by_the_probability_of_each_decision():
    (axes,) = nnc_book.plots.narrowing([0, 1, 0], 0.25).axes
    words = [text.get_text() for text in axes.texts]
    ends = [word for word in words if word not in ("zero", "not zero")]
    # 0..1, a zero leaves 1/4..1, a non-zero its first quarter, a zero the last three of that.
    assert ends == ["0", "1", "0.25", "1", "0.25", "0.4375", "0.2969", "0.4375"]
    assert words.count("zero") == words.count("not zero") == 3


def test_what_is_kept_of_the_interval_is_drawn_strong():
    (axes,) = nnc_book.plots.narrowing([1], 0.5).axes
    not_zero, zero, _ = axes.collections
    assert not_zero.get_alpha() == 1
    assert zero.get_alpha() < 0.5


@pytest.mark.parametrize("matrix", [[[0, 2, 0], [-1, 0, 1]], [[0, 0]], [[1]]])
def test_levels_are_drawn_where_they_are_not_zero(matrix):
    matrix = np.array(matrix)
    figure = nnc_book.plots.levels(matrix)
    top, axes = figure.axes
    negative, positive = (dots.get_offsets().tolist() for dots in axes.collections)
    assert negative == [[c, r] for r, c in np.argwhere(matrix < 0).tolist()]
    assert positive == [[c, r] for r, c in np.argwhere(matrix > 0).tolist()]
    assert top.patches[0].get_data().values.tolist() == np.count_nonzero(matrix, axis=0).tolist()
    Picture(figure, "c", "DRAWN", "a")._repr_html_()


def test_stacked_parts_begin_where_the_one_before_ends():
    parts = {"one": {"a": 60, "b": 39, "c": 1}, "other": {"b": 30}}
    (axes,) = nnc_book.plots.shares_of(parts).axes
    spans = [[(bar.get_x(), bar.get_width()) for bar in bars] for bars in axes.containers]
    assert spans == [[(0, 60), (0, 0)], [(60, 39), (0, 30)], [(99, 1), (30, 0)]]
    # Numbers that do not fit into their part are left out.
    assert {text.get_text() for text in axes.texts} == {"60", "39", "30", ""}
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]


def test_sizes_fall_to_the_right_and_ticks_are_written_out():
    kept, sizes = (1, 0.1, 0.01), {"few": [4000, 900, 150], "many": [9000, 1000, 160]}
    (axes,) = nnc_book.plots.sizes_by_share(kept, sizes).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == list(sizes.values())
    assert len({line.get_marker() for line in axes.lines}) == len(sizes)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["100", "10", "1"]
    assert axes.xaxis_inverted()
    assert "5,000" in [tick.get_text() for tick in axes.get_yticklabels()]
