import json
from pathlib import Path

import pytest
import traitlets
from test_widgets import run_node

import nnc_book.widgets
from nnc_book.widgets import Front

MODULE = Path(nnc_book.widgets.__file__).with_name("front.js")
SERIES = [
    {"x": [4000, 900], "y": [2.0, 3.0], "label": "ours", "kind": "record", "notes": ["a", "b"]},
    {"x": [20000], "y": [1.5], "label": "theirs", "kind": "published", "marker": "P",
     "notes": ["their paper"]},
    {"x": [5000, 700], "y": [1.9, 8.0], "label": "tried", "kind": "trial", "notes": ["c", "d"]},
]  # fmt: skip


def test_places_are_logarithmic_and_ticks_are_round():
    found = run_node(f"""
        const {{ scaleOf, ticksBetween }} = await import("{MODULE.as_uri()}");
        const place = scaleOf([100, 1000, 10000], 0, 300);
        console.log(JSON.stringify({{
            steps: [place(1000) - place(100), place(10000) - place(1000), place(1000)],
            few: ticksBetween(0.9, 12), many: ticksBetween(90, 2e6), fine: ticksBetween(2.1, 4.9),
        }}));
    """)
    first, second, middle = found["steps"]
    assert first == pytest.approx(second)
    assert middle == pytest.approx(150)
    assert first < 150  # room at both ends
    assert found["few"] == [1, 2, 5, 10]
    assert found["many"] == [100, 1000, 10_000, 100_000, 1_000_000]
    assert found["fine"] == [2.5, 3, 3.5, 4]


def test_points_keep_the_order_of_their_groups():
    found = run_node(f"""
        const {{ pointsOf }} = await import("{MODULE.as_uri()}");
        console.log(JSON.stringify(pointsOf({json.dumps(SERIES)}).map((p) => [p.g, p.x, p.note])));
    """)
    assert found == [
        [g, x, note]
        for g, one in enumerate(SERIES)
        for x, note in zip(one["x"], one["notes"], strict=True)
    ]


def test_it_has_a_still_picture_and_says_what_it_is():
    data, _ = Front(SERIES, "bytes", "error, %")._repr_mimebundle_()
    assert data["text/plain"] == "Front(ours, theirs, tried)"
    assert "image/png" in data


@pytest.mark.parametrize(
    ("change", "said"),
    [({"y": [1.0]}, "must have 2"), ({"notes": []}, "must have 2"), ({"x": [0, 1]}, "positive"),
     ({"y": [float("nan"), 1.0]}, "positive")],
)  # fmt: skip
def test_groups_that_do_not_go_together_are_refused(change, said):
    with pytest.raises(traitlets.TraitError, match=said):
        Front([SERIES[0] | change], "x", "y")


def test_the_chosen_point_exists():
    with pytest.raises(traitlets.TraitError, match="fewer points"):
        Front(SERIES, "x", "y", chosen=5)
