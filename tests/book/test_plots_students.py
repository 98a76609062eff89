import re

import pytest
import torch
from matplotlib.figure import Figure

from nnc_book import plots
from nnc_book.calibration import reliability

CLASSES = ("cat", "dog", "ship")


def drawn(figure):
    """The axes of a figure that can be rendered."""
    assert isinstance(figure, Figure)
    assert plots.png(figure)
    return figure.axes


def test_soft_targets_at_three_temperatures_and_the_label_marked():
    axes = drawn(plots.soft_targets(torch.tensor([4.0, 2.0, 0.0]), CLASSES, 1))
    assert [one.get_title(loc="left") for one in axes] == ["T = 1", "T = 4", "T = 20"]
    widths = [[bar.get_width() for bar in one.patches] for one in axes]
    assert all(sum(row) == pytest.approx(1) for row in widths)
    assert widths[0][0] > widths[1][0] > widths[2][0]
    assert "✓ dog" in [text.get_text() for text in axes[0].get_yticklabels()]


def test_the_diagonal_of_a_similarity_is_empty():
    (axes,) = drawn(plots.similarity(torch.full((3, 3), 7.0), CLASSES, "what"))
    assert [text.get_text() for text in axes.texts] == ["7"] * 6


def test_curves_by_temperature_and_a_line_to_compare_with():
    (axes,) = drawn(plots.by_temperature([1, 4, 16], {"a": [1, 2, 3]}, "y", ("most", 5.0)))
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]
    assert {line.get_label() for line in axes.lines} == {"a", "most"}


def test_a_choice_is_a_vertical_line():
    (axes,) = drawn(plots.against([0, 1, 2], {"a": [1, 2, 3]}, "x", "y", ("chosen", 1.5)))
    assert list(axes.lines[-1].get_xdata()) == [1.5, 1.5]


def test_a_dot_per_seed_and_a_bar_at_the_mean():
    (axes,) = drawn(plots.seeds({"a": [1.0, 2.0], "b": [4.0]}, "x", line="a"))
    assert [len(dots.get_offsets()) for dots in axes.collections] == [2, 1]
    assert [line.get_xdata()[0] for line in axes.lines] == [1.5, 4.0, 1.5]


def test_a_line_per_seed_and_one_name_per_student():
    rows = [{"epoch": 1, "v": 0.1}, {"epoch": 2, "v": 0.2}]
    (axes,) = drawn(plots.histories({"a": [rows, rows], "b": [rows]}, "v", "y"))
    assert len(axes.lines) == 3
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_bins_with_few_answers_are_left_out():
    logits = torch.cat([torch.tensor([[2.0, 0.0]]).expand(30, 2), torch.tensor([[9.0, 0.0]])])
    bins = reliability(logits, torch.zeros(31, dtype=torch.int64), bins=10)
    (axes,) = drawn(plots.reliability({"a": bins}))
    assert len(axes.lines[1].get_xdata()) == 1


def test_gains_and_losses():
    (axes,) = drawn(plots.gains({"cat": [1.0, 3.0], "dog": [-1.0]}, "points"))
    assert [bar.get_width() for bar in axes.patches] == [2.0, -1.0]
    assert axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()


def test_a_lesson_shows_image_targets_and_loss():
    image = torch.zeros(1, 28, 28, dtype=torch.uint8)
    page = plots.Lesson(image, 3, [0.1] * 10, [0.1] * 10, [0.0] * 9 + [1.0], "told", "seen")
    text = page._repr_html_()
    assert text.count('class="one"') == 30
    assert 'aria-label="seen"' in text
    assert "told" in text
    assert "prefers-reduced-motion" in text
    # The label's bar at 3 is the only full one besides the student's last.
    assert len(re.findall(r"--to:1\.000", text)) == 2
    assert "http" not in text
