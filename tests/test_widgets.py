import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
import traitlets

import nnc.widgets
from nnc.widgets import Prior

MODULE = Path(nnc.widgets.__file__).with_name("prior.js")
POINTS = [-3.0, -0.41, -0.02, 0.0, 0.005, 0.2, 0.39, 50.0]


@pytest.mark.parametrize("means", [[], [0.3], [-0.4, 0.1, 0.4]])
def test_the_page_computes_what_python_computes(means):
    if shutil.which("node") is None:
        pytest.skip("node is not installed, so the JavaScript cannot be run")
    widget = Prior(means=means, sigmas=[0.05] + [0.06] * len(means), pi_0=0.9)
    module = json.dumps(MODULE.as_uri())
    script = f"""
        const {{ logDensity, penalty, pull, mixtureOf }} = await import({module});
        const mixture = mixtureOf({json.dumps([0, *means])}, {json.dumps(widget.sigmas)}, 0.9);
        const rows = {json.dumps(POINTS)}.map((w) =>
            [logDensity(w, mixture), penalty(w, mixture), pull(w, mixture)]);
        console.log(JSON.stringify(rows));
    """
    command = ["node", "--no-warnings", "--experimental-default-type=module", "--input-type=module"]
    done = subprocess.run([*command, "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = torch.tensor(json.loads(done.stdout), dtype=torch.float64)
    points = torch.tensor(POINTS, dtype=torch.float64)
    mixture = widget.mixture()
    log_density = mixture.log_density(points)
    expected = torch.stack([log_density, -log_density, mixture.pull(points)], dim=1)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_it_has_a_view_and_a_still_picture():
    data, _ = Prior()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["image/png"].startswith("iVBOR")


def test_one_width_per_component():
    with pytest.raises(traitlets.TraitError, match="must have 3"):
        Prior(means=[0.1, 0.2], sigmas=[0.1])


def test_the_module_is_small_and_loads_nothing():
    text = MODULE.read_text()
    assert len(text) < 20_000
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
