import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import traitlets

import nnc_book.widgets
from nnc_book.widgets import Prior

MODULE = Path(nnc_book.widgets.__file__).with_name("prior.js")


def module_of(figure, folder):
    """The address of a figure's whole module, written into a folder."""
    path = folder / f"{figure.__name__}.js"
    path.write_text(figure._esm)
    return path.as_uri()


POINTS = [-3.0, -0.41, -0.02, 0.0, 0.005, 0.2, 0.39, 50.0]


def run_node(script):
    if shutil.which("node") is None:
        pytest.skip("node is not installed, so the JavaScript cannot be run")
    command = ["node", "--no-warnings", "--experimental-default-type=module", "--input-type=module"]
    done = subprocess.run([*command, "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("sigma", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("means", [[], [0.3], [-0.4, 0.1, 0.4], [0.1 * j for j in range(1, 8)]])
def test_the_page_computes_what_python_computes(means, sigma):
    widget = Prior(means=means, sigmas=[sigma] + [0.06] * len(means), pi_0=0.9)
    found = run_node(f"""
        const {{ logDensity, penalty, pull, mixtureOf }} = await import("{MODULE.as_uri()}");
        const mixture = mixtureOf({json.dumps([0, *means])}, {json.dumps(widget.sigmas)}, 0.9);
        const rows = {json.dumps(POINTS)}.map((w) =>
            [logDensity(w, mixture), penalty(w, mixture), pull(w, mixture)]);
        console.log(JSON.stringify(rows));
    """)
    points = torch.tensor(POINTS, dtype=torch.float64)
    mixture = widget.mixture()
    log_density = mixture.log_density(points)
    expected = torch.stack([log_density, -log_density, mixture.pull(points)], dim=1)
    torch.testing.assert_close(
        torch.tensor(found, dtype=torch.float64), expected, rtol=1e-9, atol=1e-9
    )


def test_steps_lower_the_penalty_and_come_to_rest():
    widget = Prior()
    start, weights = widget.weights, widget.weights
    after = run_node(f"""
        const {{ mixtureOf, step }} = await import("{MODULE.as_uri()}");
        const mixture = mixtureOf([0, -0.4, 0.4], [0.05, 0.06, 0.06], 0.8);
        let weights = {json.dumps(start)};
        const rows = [];
        for (let i = 0; i < 300; i++) rows.push((weights = step(weights, mixture)));
        console.log(JSON.stringify(rows));
    """)
    mixture = widget.mixture()
    totals = -mixture.log_density(torch.tensor([weights, *after], dtype=torch.float64)).sum(1)
    assert (totals.diff() <= 1e-9).all()
    assert mixture.pull(torch.tensor(after[-1], dtype=torch.float64)).abs().max() < 1e-3


def test_it_has_a_view_and_a_still_picture():
    data, _ = Prior()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    # Chapters are compared with their stored outputs: no address of an object.
    assert data["text/plain"] == "Prior(means=[-0.4, 0.4], sigmas=[0.05, 0.06, 0.06], pi_0=0.8)"


def test_one_width_per_component():
    with pytest.raises(traitlets.TraitError, match="must have 3"):
        Prior(means=[0.1, 0.2], sigmas=[0.1])


@pytest.mark.parametrize(
    "traits",
    [
        {"means": [2.0, 0.1]},
        {"sigmas": [0.05, 0.0, 0.1]},
        {"pi_0": 1.0},
        {"weights": []},
        {"weights": [float("nan")]},
        {"means": [0.1] * 8, "sigmas": [0.1] * 9},
    ],
)
def test_values_out_of_range_are_refused(traits):
    with pytest.raises(traitlets.TraitError):
        Prior(**traits)


def test_the_modules_are_small_and_load_nothing():
    texts = {path.name: path.read_text() for path in MODULE.parent.glob("*.js")}
    # Seven figures take 100,000; the two that train networks in the page some 30,000 more.
    assert sum(map(len, texts.values())) < 131_000
    for text in texts.values():
        assert len(text) < 20_000
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "import " not in text
