"""The figure "Share" and what networks are trained with in the page, against torch and nnc."""

import json
import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
import traitlets
from test_browser import barriers
from test_figures import widget_page
from test_widgets import module_of, run_node
from torch.nn import functional

import nnc
from nnc.priors import Gamma, HyperPriors
from nnc.pruning.sharing import assign
from nnc_book.widgets.learn import spiral
from nnc_book.widgets.share import Share

SIZES = [2, 5, 4, 3]


def in_the_page(figure, folder, names, script):
    return run_node(f"""
        const {{ {names} }} = await import("{module_of(figure, folder)}");
        {script}
    """)


def tensors_of(values, sizes):
    """Weight and bias of each layer, from one row of numbers."""
    found, row = [], torch.tensor(values, dtype=torch.float64)
    for inputs, outputs in pairwise(sizes):
        weight, bias, row = row.tensor_split([inputs * outputs, (inputs + 1) * outputs])
        found += [weight.reshape(outputs, inputs).requires_grad_(), bias.requires_grad_()]
    return found


def logits_of(tensors, x):
    for weight, bias in zip(tensors[::2], tensors[1::2], strict=True):
        x = functional.linear(x if weight is tensors[0] else x.tanh(), weight, bias)
    return x


def test_points_are_the_same_in_python(tmp_path):
    found = in_the_page(Share, tmp_path, "spiral, randomOf", """
        const { places, labels } = spiral(20, 0.1, randomOf(7));
        console.log(JSON.stringify([[...places], labels]));
    """)  # fmt: skip
    places, labels = spiral(20, 0.1, 7)
    assert found[0] == pytest.approx([value for place in places for value in place], abs=1e-12)
    assert found[1] == labels


def test_the_error_and_its_gradient_are_those_of_torch(tmp_path):
    names = "spiral, randomOf, networkOf, errorOver, crossEntropy"
    found = in_the_page(Share, tmp_path, names, f"""
        const random = randomOf(1);
        const {{ places, labels }} = spiral(11, 0.1, random);
        const network = networkOf({SIZES}, random);
        const {{ error, gradient }} =
            errorOver(network, places, (z, n) => crossEntropy(z, labels[n]));
        console.log(JSON.stringify(
            [[...places], labels, [...network.values], error, [...gradient]]));
    """)  # fmt: skip
    places, labels, values, error, gradient = found
    tensors = tensors_of(values, SIZES)
    x = torch.tensor(places, dtype=torch.float64).reshape(-1, 2)
    expected = functional.cross_entropy(logits_of(tensors, x), torch.tensor(labels))
    expected.backward()
    assert error == pytest.approx(expected.item(), abs=1e-9)
    slopes = torch.cat([tensor.grad.flatten() for tensor in tensors])
    torch.testing.assert_close(torch.tensor(gradient).double(), slopes, rtol=1e-6, atol=1e-9)


def test_steps_are_those_of_adam(tmp_path):
    rates = [0.1, 0.05, 0.02]
    found = in_the_page(Share, tmp_path, "adam", f"""
        const values = Float64Array.of(1, -2, 0.5);
        const move = adam(values);
        for (const rate of {rates}) move(values.map((v) => 2 * v + 1), rate);
        console.log(JSON.stringify([...values]));
    """)  # fmt: skip
    values = torch.tensor([1, -2, 0.5], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([values])
    for rate in rates:
        optimiser.param_groups[0]["lr"] = rate
        values.grad = 2 * values.detach() + 1
        optimiser.step()
    assert found == pytest.approx(values.tolist(), abs=1e-6)


@pytest.mark.parametrize("pi_0", [0.2, 0.99])
@pytest.mark.parametrize("sigma", [0.02, 0.4])
def test_the_penalty_and_its_gradients_are_those_of_the_prior(tmp_path, pi_0, sigma):
    weights = [-1.3, -0.4, -0.01, 0.0, 0.02, 0.2, 0.5, 3.0]
    hyper = HyperPriors(Gamma(50.0, 0.125), Gamma(20.0, 0.05))
    means = [-0.5, 0.1, 0.6]
    settings = {"means": means, "sigma": sigma, "pi_0": pi_0, "zero": [50, 0.125],
                "others": [20, 0.05]}  # fmt: skip
    found = in_the_page(Share, tmp_path, "priorOf, penaltyOf, ownersOf", f"""
        const prior = priorOf({json.dumps(settings)});
        prior.mixing.set([0.3, -0.2, 0.1]);
        prior.logs[2] += 1;
        const {{ value, slopes, means, logs, mixing }} = penaltyOf(prior, {weights});
        console.log(JSON.stringify([value, ...[slopes, means, logs, mixing].map((v) => [...v]),
            ownersOf(prior, {weights})]));
    """)  # fmt: skip
    prior = nnc.GaussianMixturePrior(
        torch.tensor(means, dtype=torch.float64), sigma=sigma, pi_0=pi_0, hyper=hyper,
        tabulated=False,
    )  # fmt: skip
    with torch.no_grad():
        prior.mixing_logits += torch.tensor([0.3, -0.2, 0.1])
        prior.log_precisions[2] += 1
    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    value = prior([w])
    value.backward()
    expected = [w.grad, prior.means.grad, prior.log_precisions.grad, prior.mixing_logits.grad]
    assert found[0] == pytest.approx(value.item(), rel=1e-6)
    for one, other in zip(found[1:5], expected, strict=True):
        assert one == pytest.approx(other.tolist(), rel=1e-6, abs=1e-6)
    assert found[5] == assign(w.detach(), prior.mixture()).tolist()


def test_bits_are_the_entropy_of_the_codes(tmp_path):
    codes = [0] * 9 + [1] * 4 + [3]
    script = f"console.log(JSON.stringify([{codes}, [2, 2]].map(bitsOf)));"
    found = in_the_page(Share, tmp_path, "bitsOf", script)
    shares = [count / len(codes) for count in Counter(codes).values()]
    entropy = -sum(share * math.log2(share) for share in shares)
    assert found == [pytest.approx(len(codes) * entropy), 0]


def test_a_training_gathers_weights_and_too_weak_and_too_strong_both_fail(tmp_path):
    found = in_the_page(Share, tmp_path, "trainingOf, accuracy", f"""
        const settings = {json.dumps(Share().settings)};
        const training = trainingOf(settings, 3);
        const rows = [1e-5, 0.01, 1, 100].map((tau) => {{
            training.restart();
            while (!training.done()) training.step(tau);
            const {{ network, zeros, bits }} = training.assigned();
            const scores = [training.network, network].map((one) => accuracy(one, training.test));
            return [...scores, zeros, bits];
        }});
        console.log(JSON.stringify(rows));
    """)  # fmt: skip
    weak, light, good, strong = found
    assert weak[0] > 0.95  # as it is
    assert weak[1] < weak[0] - 0.1  # assigned
    for row in (light, good):
        assert min(row[:2]) > 0.95
    assert light[2] < good[2] < strong[2]  # zeros
    assert strong[2] > 0.9
    assert strong[1] < 0.6
    assert strong[3] < good[3] < light[3] < 0.1 * 32 * 336


def quick(**traits):
    """The figure with fewer steps."""
    widget = Share(**traits)
    widget.settings = widget.settings | {"first": 150, "second": 60}
    return widget


@pytest.mark.parametrize(("width", "motion"), [(1280, "no-preference"), (375, "reduce")])
def test_it_is_trained_and_assigned_in_the_page(shown, width, motion):
    page = shown(widget_page(quick()), width, reduced_motion=motion, has_touch=width == 375)
    main = page.locator("button.main")
    (main.tap if width == 375 else main.click)()
    page.get_by_role("button", name="Other points").wait_for(timeout=120_000)
    said = page.locator(".tiles strong").all_inner_texts()
    assert float(said[0]) > 0.7
    page.get_by_role("button", name="Assign").focus()
    page.keyboard.press("Enter")
    assert page.get_by_role("button", name="Assign").is_disabled()
    fixed = {dot.get_attribute("cy") for dot in page.locator(".strip circle").all()}
    assert len(fixed) <= 7
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("ArrowRight")  # another strength: back to the end of step 1
    page.get_by_role("button", name="Cluster").wait_for()
    assert slider.get_attribute("aria-valuetext") == "tau 3"
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(
    ("tau", "said"), [(1e-5, "Too weak"), (1.0, "hardly changed"), (100.0, "Too strong")]
)
def test_it_says_what_came_of_a_strength(shown, tau, said):
    page = shown(widget_page(Share(tau=tau)), reduced_motion="reduce")
    page.locator("button.main").click()
    page.get_by_role("button", name="Other points").wait_for(timeout=120_000)
    page.get_by_role("button", name="Assign").click()
    assert said in page.locator(".status").inner_text()


def check_it_is_open(page, scheme, targets):
    """No barrier on a phone, and what is pressed is large enough."""
    page.evaluate(f"document.documentElement.dataset.theme = '{scheme}'")
    page.locator("button.main").wait_for()
    assert barriers(page, contrast=True) == []
    for target in page.locator(targets).all():
        assert min(target.bounding_box()[side] for side in ("width", "height")) > 43.99


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_open_to_everybody(shown, scheme):
    page = shown(f"<main><h1>t</h1>{widget_page(quick())}</main>", 375)
    check_it_is_open(page, scheme, "button, input")


def test_it_has_a_still_picture_and_says_what_it_is():
    data, _ = Share(tau=0.1)._repr_mimebundle_()
    assert data["text/plain"] == "Share(tau=0.1)"
    assert "image/png" in data


@pytest.mark.parametrize("traits", [{"tau": 0.0}, {"tau": 1e4}, {"seed": -1}])
def test_values_out_of_range_are_refused(traits):
    with pytest.raises(traitlets.TraitError):
        Share(**traits)
