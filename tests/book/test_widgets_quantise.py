import json
from pathlib import Path

import pytest
import torch
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st
from test_widgets import run_node

import nnc
import nnc_book.widgets
from nnc.pruning.sharing import assign, merge
from nnc_book.widgets import Quantise

MODULE = Path(nnc_book.widgets.__file__).with_name("quantise.js")
ROWS = [{"by": "responsibility", "threshold": 0.0, "accuracy": 0.9, "sparsity": 0.5, "levels": 3}]
POINTS = torch.linspace(-1, 1, 57, dtype=torch.float64)


def mixture_of(means, sigmas, shares):
    tensors = (torch.tensor(values, dtype=torch.float64) for values in (means, sigmas, shares))
    means, sigmas, shares = tensors
    return nnc.Mixture(means, 1 / sigmas**2, shares / shares.sum())


def in_the_page(cases):
    script = f"""
        const {{ merge, owner }} = await import("{MODULE.as_uri()}");
        const found = {json.dumps(cases)}.map(([mixture, threshold, by, points]) => {{
            const parts = merge(mixture, threshold);
            const numbers = parts.map((p) => [p.mean, Math.sqrt(p.variance), p.share]);
            return [numbers, points.map((w) => owner(w, parts, by))];
        }});
        console.log(JSON.stringify(found));
    """
    return run_node(script)


def case(mixture, threshold, by):
    parts = {
        "means": mixture.means.tolist(),
        "sigmas": mixture.sigmas.tolist(),
        "shares": mixture.proportions.tolist(),
    }
    return parts, threshold, by, POINTS.tolist()


def agree(mixture, found, threshold, by):
    merged = merge(mixture, threshold)
    numbers, owners = found
    expected = torch.stack([merged.means, merged.sigmas, merged.proportions], 1)
    torch.testing.assert_close(
        torch.tensor(numbers, dtype=torch.float64), expected, rtol=1e-9, atol=1e-12
    )
    assert owners == assign(POINTS, merged, by).tolist()


MIXTURES = [
    mixture_of([0.0], [0.1], [1.0]),
    mixture_of([0.0, 0.2, 0.25, -0.3], [0.05, 0.04, 0.03, 0.1], [0.9, 0.05, 0.03, 0.02]),
    mixture_of([0.0, 0.01, -0.01], [0.1, 0.1, 0.1], [0.98, 0.01, 0.01]),
    mixture_of([0.0, 0.3, 0.3], [0.01, 0.05, 0.05], [0.5, 0.5, 0.0]),
    mixture_of([0.0, *[j / 10 for j in range(-8, 9) if j]], [0.02] * 17, [0.5] + [0.03] * 16),
]


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda m: f"{len(m.means)} components")
def test_the_page_merges_and_assigns_as_python_does(mixture):
    settings = [(t, by) for t in (0.0, 0.5, 5.0, 1e9) for by in ("responsibility", "likelihood")]
    found = in_the_page([case(mixture, *one) for one in settings])
    for one, (threshold, by) in zip(found, settings, strict=True):
        agree(mixture, one, threshold, by)


@given(
    st.lists(
        st.tuples(st.floats(-0.9, 0.9), st.floats(0.01, 0.5), st.floats(0.01, 1)),
        min_size=1,
        max_size=8,
    ),
    st.floats(0, 50),
)
@settings(max_examples=8, deadline=None)
def test_any_mixture_merges_alike(parts, threshold):
    means, sigmas, shares = zip(*parts, strict=True)
    mixture = mixture_of([0.0, *means[1:]], sigmas, shares)
    (found,) = in_the_page([case(mixture, threshold, "responsibility")])
    agree(mixture, found, threshold, "responsibility")


def test_of_a_network_scores_every_setting():
    torch.manual_seed(0)
    model = nnc.LeNet300100()
    prior = nnc.GaussianMixturePrior(torch.linspace(-0.1, 0.1, 4), sigma=0.02, pi_0=0.9)
    seen = []

    def score(quantised):
        seen.append(quantised.sparsity())
        return 0.5

    widget = Quantise.of(model, prior, score, layer="fc3.weight", thresholds=(0, 1e9), count=9)
    assert len(widget.settings) == 4 == len(seen)
    assert [row["sparsity"] for row in widget.settings] == seen
    assert seen[1] == 1  # all merged into zero
    ends = model.fc3.weight.min().item(), model.fc3.weight.max().item()
    assert (widget.weights[0], widget.weights[-1]) == pytest.approx(ends)
    widget.threshold = 1e9
    assert widget.owners().tolist() == [0] * 9
    with pytest.raises(ValueError, match="must be one of fc1"):
        Quantise.of(model, prior, score, layer="fc9", thresholds=(0,))


def test_it_has_a_still_picture_and_says_what_it_is():
    data, _ = Quantise(MIXTURES[1], [0.0, 0.3, -0.2], ROWS)._repr_mimebundle_()
    assert data["text/plain"] == "Quantise(1 settings, by='responsibility')"
    assert "image/png" in data


@pytest.mark.parametrize(
    "traits",
    [{"by": "chance"}, {"threshold": 0.5}, {"cursor": 2.0}, {"weights": [float("nan")]},
     {"weights": [1.5]}, {"settings": []}],
)  # fmt: skip
def test_values_out_of_range_are_refused(traits):
    with pytest.raises(traitlets.TraitError):
        Quantise(**({"mixture": MIXTURES[1], "weights": [0.1], "settings": ROWS} | traits))
