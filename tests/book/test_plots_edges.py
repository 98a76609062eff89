import re

import pytest
import torch

from nnc_book import plots


def page(**changes):
    trained = torch.tensor([[0.5, -0.01, 0.2], [0.03, -0.4, 0.0]])
    clustered = torch.tensor([[0.42, 0.0, 0.2], [0.001, -0.4, 0.0]])
    quantised = torch.tensor([[0.4, 0.0, 0.2], [0.0, -0.4, 0.0]])
    tensors = {"trained": trained, "clustered": clustered, "quantised": quantised} | changes
    return plots.Edges(**tensors, caption="Six weights.", badge="DRAWN")._repr_html_()


def test_an_edge_per_weight_with_its_width_at_each_step():
    found = re.findall(
        r'<path class="(\w+)" d="([^"]+)" style="--a:(.*?);--b:(.*?);--c:(.*?)"', page()
    )
    assert len(found) == 6
    assert sum(kind == "zero" for kind, *_ in found) == 3
    widest = next(one for one in found if one[2] == "6.00")  # 0.5, the largest of all
    assert widest[3:] == ("5.04", "4.80")  # 0.42 and 0.4, on the same scale
    assert widest[1].startswith("M113.3 16L170.0")  # first of three above, first of two below


def test_what_each_step_did_is_counted():
    text = page()
    assert "Step 1: 6 values for 6 weights" in text
    assert "Step 2: 3 drawn to zero" in text
    assert "Step 3: 3 left, 3 values" in text
    assert text.count('type="radio"') == 3
    assert text.count("<circle") == 3 + 2


def test_the_same_weights_are_the_same_text_and_others_another_group():
    assert page() == page()
    name = re.compile(r'name="([^"]+)"')
    assert set(name.findall(page())) != set(name.findall(page(trained=torch.ones(2, 3))))


@pytest.mark.parametrize("shape", [(1, 1), (3, 4)])
def test_a_network_of_nothing_can_be_drawn(shape):
    none = torch.zeros(shape)
    text = page(trained=none, clustered=none, quantised=none)
    assert "nan" not in text
    assert text.count("<path") == none.numel()


def test_a_budget_shows_what_is_allowed_and_bytes_as_plain_numbers():
    history = [
        {"epoch": n, "error": 0.03, "expected_bytes": size}
        for n, size in enumerate((9000.0, 4000.0, 2500.0), 1)
    ]
    above, below = plots.budget(history, dense=0.02, lose=0.01).axes
    assert [line.get_ydata()[0] for line in above.lines] == pytest.approx([3, 2, 3])
    ticks = [label.get_text() for label in below.get_yticklabels()]
    assert ticks == ["2,000", "5,000", "10,000"]
