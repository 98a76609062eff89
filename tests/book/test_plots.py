import base64
import itertools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from matplotlib.collections import LineCollection, PathCollection

from nnc.priors.mixture import Mixture
from nnc_book import plots
from nnc_book.plots import PALETTE, Film, Picture, Table
from nnc_book.plots.film import _encode

MIXTURE = Mixture([0.0, -0.3, 0.3], [1 / 0.0007**2, 400.0, 400.0], [0.98, 0.01, 0.01])

# How the three kinds of colour blindness see linear RGB (Machado, Oliveira, Fernandes 2009).
SEEN_AS = {
    "all": np.eye(3),
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
ROLES = [role for role in PALETTE if role not in ("ground", "grid")]


def linear(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = to_xyz @ np.clip(rgb, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_colour_stands_out_from_the_ground(mode):
    luminance = {
        role: linear(entry[mode]) @ [0.2126, 0.7152, 0.0722] for role, entry in PALETTE.items()
    }
    for role in ROLES:
        low, high = sorted((luminance[role], luminance["ground"]))
        assert (high + 0.05) / (low + 0.05) >= 3, role


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("kind", SEEN_AS)
def test_no_two_colours_look_alike_to_anybody(mode, kind):
    seen = {role: lab(SEEN_AS[kind] @ linear(PALETTE[role][mode])) for role in ROLES}
    for one, other in itertools.combinations(ROLES, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 15, (one, other)


def test_importing_changes_nothing_and_picks_no_backend():
    script = """
import sys, matplotlib
# Asking for the backend by its key would choose one.
settings = lambda: dict(dict.items(matplotlib.rcParams))
before = settings()
import nnc_book.plots, nnc_book.widgets
assert settings() == before
assert "matplotlib.pyplot" not in sys.modules
nnc_book.plots.curves([{"epoch": 1, "a": 0.5}], {"a": "a"}, "share")
assert settings() == before
nnc_book.plots.use_style()
assert matplotlib.rcParams["figure.dpi"] == 160
"""
    settings = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_density_draws_the_mixture_down_to_its_narrowest_component():
    (axes,) = plots.density(MIXTURE, l2_sigma=0.1).axes
    lines = {line.get_label(): line for line in axes.lines}
    x, y = lines["mixture"].get_data()
    expected = MIXTURE.log_density(torch.as_tensor(x)).exp()
    np.testing.assert_allclose(y, expected)
    assert max(y) == pytest.approx(0.98 / (0.0007 * np.sqrt(2 * np.pi)), rel=1e-6)
    x, y = lines[PALETTE["l2"]["label"]].get_data()
    np.testing.assert_allclose(
        y, np.exp(-((np.asarray(x) / 0.1) ** 2) / 2) / (0.1 * np.sqrt(2 * np.pi))
    )


def test_one_gaussian_is_drawn_once():
    (axes,) = plots.density(Mixture([0.0], [16.0], [1.0])).axes
    assert len(axes.lines) == 1


def test_arrows_point_against_the_slope_of_the_penalty():
    weights = torch.tensor([-0.6, -0.31, 0.0, 0.1, 0.5], dtype=torch.float64)
    _, row = plots.pull(MIXTURE, weights).axes
    (arrows,) = [one for one in row.collections if isinstance(one, LineCollection)]
    lengths = np.array([tip[0] - start[0] for start, tip in arrows.get_segments()])
    np.testing.assert_array_equal(np.sign(lengths), np.sign(-MIXTURE.pull(weights).numpy()))
    assert abs(lengths).max() == pytest.approx(0.28)


def test_a_histogram_is_a_density_and_says_what_it_leaves_out():
    weights = torch.tensor([0.0, 0.0, 0.5, 1.7])
    (axes,) = plots.histogram(weights, MIXTURE).axes
    level, edges, _ = axes.patches[0].get_data()
    assert (level * np.diff(edges)).sum() == pytest.approx(3 / 4)
    assert [text.get_text() for text in axes.texts] == ["1 outside"]


@pytest.mark.parametrize("weights", [torch.zeros(0), torch.zeros(1), torch.zeros(3, 3)])
def test_a_histogram_of_hardly_anything(weights):
    Picture(plots.histogram(weights), "c", "LIVE", "a")._repr_html_()


@pytest.mark.parametrize("counts", [np.zeros((4, 4), int), np.eye(4, dtype=int), np.array([[7]])])
def test_a_joint_plot_has_initial_values_across_and_current_ones_up(counts):
    figure = plots.joint(counts, means=torch.tensor([0.1]))
    np.testing.assert_array_equal(figure.axes[2].images[0].get_array().filled(0), counts.T)
    Picture(figure, "c", "DRAWN", "a")._repr_html_()


def test_curves_are_the_history():
    rows = [{"epoch": e, "a": e / 3, "b": 1.0} for e in (1, 2, 3)]
    (axes,) = plots.curves(rows, {"a": "one", "b": "other"}, "share").axes
    assert [line.get_label() for line in axes.lines] == ["one", "other"]
    np.testing.assert_allclose(axes.lines[0].get_xydata(), [(e, e / 3) for e in (1, 2, 3)])
    assert len({line.get_linestyle() for line in axes.lines}) == 2


def test_names_of_points_hide_neither_each_other_nor_a_point():
    near = {"x": [1e4, 1.1e4, 1.15e4, 3e4], "y": [1.9, 1.92, 1.94, 1.6]}
    published = {
        **near,
        "names": ["a long name"] * 4,
        "kind": "published",
        "marker": "x",
        "label": "p",
    }
    trial = {"x": [2e4], "y": [1.7], "kind": "trial", "label": "t"}
    record = {"x": [1.5e4], "y": [2.0], "kind": "record", "label": "r"}
    figure = plots.points([published, trial, record], "bytes", "error")
    (axes,) = figure.axes
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    marks = axes.transData.transform(list(zip(near["x"], near["y"], strict=True)))
    assert not any(box.contains(*mark) for box in boxes for mark in marks)
    dots = [one for one in axes.collections if isinstance(one, PathCollection)]
    assert [len(one.get_facecolors()) for one in dots] == [1, 0, 1]  # only trials are hollow


def test_pixels_without_weights_stay_empty():
    counts = torch.zeros(784, dtype=torch.int64)
    counts[30] = 5
    image = plots.pixels(counts, "weights").axes[0].images[0].get_array()
    assert image.shape == (28, 28)
    assert image.count() == 1
    assert image[1, 2] == 5


def test_a_picture_is_the_same_bytes_every_time_and_has_its_words():
    rows = [{"epoch": 1, "a": 0.5}]
    one, other = (
        Picture(plots.curves(rows, {"a": "a"}, "y"), "A < B", "LIVE", 'say "x"')._repr_html_()
        for _ in range(2)
    )
    assert one == other
    assert 'aria-label="say &quot;x&quot;"' in one
    assert '<span class="badge-live">LIVE</span> A &lt; B' in one


def test_a_badge_is_one_of_three():
    with pytest.raises(ValueError, match="LIVE, RECORDED, DRAWN, got 'GUESSED'"):
        plots.caption("x", "GUESSED")


def test_columns_of_numbers_stand_to_the_right():
    rows = [("a", "1.5 %", 3, "–"), ("b", "", "4,000", "word")]
    html = Table(["", "error", "bytes", "note"], rows, "Results <1>", "RECORDED")._repr_html_()
    kinds = re.findall(r'<td role="cell"( class="number")?', html)
    assert kinds == [' class="number"', ' class="number"', ""] * 2
    assert 'aria-label="Results &lt;1&gt;"' in html


def test_every_cell_knows_its_heading_and_the_first_column_names_the_row():
    html = Table(["", "error, %", "bytes"], [("a", "1.5", 3)], "c", "LIVE")._repr_html_()
    assert re.findall('data-label="(.*?)"', html) == ["error, %", "bytes"]
    assert '<th scope="row" role="rowheader">a</th>' in html


def test_a_picture_takes_every_colour_from_the_page_and_its_words_stay_words():
    rows = [{"epoch": 1, "a": 0.5}, {"epoch": 2, "a": 0.7}]
    html = Picture(plots.curves(rows, {"a": "a"}, "share"), "c", "LIVE", "a")._repr_html_()
    drawing = html[html.index("<svg") : html.index("</svg>")]
    assert re.findall("#[0-9a-f]{6}", drawing) == []
    assert "var(--student)" in drawing
    assert ">epoch</text>" in drawing
    assert "<style" not in drawing


def test_a_table_without_rows_keeps_its_headings():
    assert ">b</th>" in Table(["a", "b"], [], "c", "LIVE")._repr_html_()


def decode(text):
    out, data = [], iter(base64.b64decode(text))
    for byte in data:
        out += [byte] if byte else [0] * next(data)
    return out


@given(arrays.arrays(np.uint8, st.integers(0, 600), elements=st.sampled_from([0, 0, 0, 1, 255])))
def test_a_frame_comes_back_as_it_was(levels):
    assert decode(_encode(levels)) == levels.tolist()


def film(frames=3, bins=10, **changes):
    joint = np.stack([np.diag(np.arange(bins)) + i for i in range(frames)])
    values = {
        "joint": joint,
        "means": np.tile([0.0, 0.3, 5.0], (frames, 1)),
        "sigmas": np.full((frames, 3), 0.05),
        "limits": (-1.0, 1.0),
        "curves": {"accuracy </script>": np.linspace(0, 1, frames)},
        "caption": "A film.",
        "badge": "LIVE",
        "epochs": [3 * i for i in range(frames)],
    }
    return Film(**(values | changes))


def test_a_film_is_the_same_bytes_every_time_and_needs_nothing_from_elsewhere():
    html = film()._repr_html_()
    assert html == film()._repr_html_()
    assert "http" not in html
    assert "FILM_" not in html
    assert html.count("</script>") == 2  # the data's and the player's own
    assert "Epoch 6 of 6" in html


def test_a_film_of_one_frame_without_curves():
    assert "Epoch 0 of 0" in film(1, curves={}, epochs=None)._repr_html_()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"means": np.zeros((2, 3))}, r"means must have one entry per frame \(3\), got 2"),
        ({"epochs": [1]}, "epochs must have one entry per frame"),
        ({"curves": {"a": [1.0]}}, "curve 'a' must have one entry per frame"),
        ({"curves": {key: [0, 0, 0] for key in "abcdef"}}, "at most 5 names"),
    ],
)
def test_a_film_that_does_not_fit_together(changes, message):
    with pytest.raises(ValueError, match=message):
        film(**changes)


def test_a_film_too_large_for_a_page_says_what_to_do():
    joint = np.random.default_rng(0).integers(0, 1000, (20, 200, 200))
    flat = {"means": np.zeros((20, 1)), "sigmas": np.ones((20, 1)), "curves": {}, "epochs": None}
    with pytest.raises(ValueError, match="leave out frames or add up bins"):
        film(joint=joint, **flat)._repr_html_()


def test_bars_carry_their_numbers_and_the_line_its_name():
    figure = plots.bars({"a": 1200.0, "b": 300.0}, "bytes", "b", ("entropy", 500.0))
    (axes,) = figure.axes
    assert [patch.get_width() for patch in axes.patches] == [1200, 300]
    assert {text.get_text() for text in axes.texts} == {"1,200", "300", "entropy"}
    colours = [patch.get_facecolor() for patch in axes.patches]
    assert colours[0] != colours[1]


def test_break_even_draws_every_curve_and_the_line_of_equal_times():
    figure = plots.breakeven((0.5, 0.9, 0.99), {"one": [4, 1, 0.2], "many": [8, 2, 0.1]}, "ratio")
    axes = figure.axes[0]
    assert [line.get_ydata()[0] for line in axes.lines] == [1, 4, 8]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.5", "0.9", "0.99"]


def test_steps_write_their_values_beside_the_bars():
    figure = plots.steps(["teacher", "file"], [37_664_040, 120_000], "bytes")
    axes = figure.axes[0]
    assert [bar.get_width() for bar in axes.patches] == [37_664_040, 120_000]
    assert [text.get_text() for text in axes.texts] == ["37,664,040", "120,000"]


def test_trials_are_hollow_and_records_are_filled():
    series = [
        {"x": [100], "y": [1], "label": "trial", "kind": "trial", "marker": "s"},
        {"x": [900], "y": [8], "label": "record", "kind": "record", "role": "components"},
    ]
    axes = plots.points(series, "bytes", "error", yscale="log").axes[0]
    hollow, filled = axes.collections
    assert len(hollow.get_facecolor()) == 0
    assert len(filled.get_facecolor()) == 1
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_a_weight_of_zero_is_grey_and_filters_keep_their_places():
    weights = torch.zeros(3, 3, 2, 2)
    weights[1, 0, 0, 1] = -2.0  # red, top right, of the second filter
    picture = plots.filters(weights, columns=2).axes[0].images[0].get_array()
    assert picture.shape == (5, 5, 4)
    assert picture[0, 0].tolist() == [0.5, 0.5, 0.5, 1]
    assert picture[0, 4].tolist() == [0, 0.5, 0.5, 1]
    assert picture[4, 4, 3] == 0  # there is no fourth filter
