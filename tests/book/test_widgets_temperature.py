import base64
import json

import pytest
import torch
import traitlets
from test_widgets import module_of, run_node

import nnc
from nnc_book.widgets import Temperature

ROWS = [[0.0, 1.0, -2.0], [1e4, -1e4, 0.0], [3.0, 3.0, 3.0], [700.0, 699.0, -700.0]]


def widget(**traits):
    given = {"classes": ["a", "b", "c"], "logits": ROWS, "labels": [0, 1, 2, 0]}
    return Temperature(**(given | traits))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0, 100.0])
def test_the_page_computes_what_python_computes(temperature, tmp_path):
    found = run_node(f"""
        const {{ softTargets, entropy }} = await import("{module_of(Temperature, tmp_path)}");
        const rows = {json.dumps(ROWS)}.map((z) => {{
            const p = softTargets(z, {temperature});
            return [...p, entropy(p)];
        }});
        console.log(JSON.stringify(rows));
    """)
    p = nnc.soft_targets(torch.tensor(ROWS, dtype=torch.float64), temperature)
    bits = torch.special.entr(p).sum(dim=1, keepdim=True) / torch.tensor(2.0).double().log()
    torch.testing.assert_close(
        torch.tensor(found, dtype=torch.float64), torch.cat([p, bits], dim=1), rtol=0, atol=1e-9
    )


def test_places_of_the_slider_and_small_numbers(tmp_path):
    found = run_node(f"""
        const {{ temperatureAt, placeOf, shown }} =
            await import("{module_of(Temperature, tmp_path)}");
        const places = [0, 50, 200].map((place) => placeOf(temperatureAt(place)));
        const texts = [1, 0.25, 0.00051, 0.0002, 3e-12, 0].map(shown);
        console.log(JSON.stringify([places, temperatureAt(0), temperatureAt(200), texts]));
    """)
    assert found[0] == [0, 50, 200]
    assert found[1:3] == [0.5, pytest.approx(100)]
    assert found[3] == ["1.000", "0.250", "0.001", "2 · 10⁻⁴", "3 · 10⁻¹²", "0"]


def test_it_has_a_view_and_a_still_picture():
    data, _ = widget()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "Temperature(4 images, temperature=1, chosen=0)"


@pytest.mark.parametrize(
    "traits",
    [
        {"labels": [0, 1]},
        {"labels": []},
        {"labels": [0, 1, 2, 3]},
        {"labels": [0, 1, 2, -1]},
        {"logits": [[1.0, 2.0]] * 4},
        {"logits": [[1.0, 2.0, float("nan")]] * 4},
        {"logits": []},
        {"thumbnails": ["a"]},
        {"temperature": 0.0},
        {"chosen": 4},
        {"classes": ["a"]},
    ],
)
def test_what_does_not_go_together_is_refused(traits):
    with pytest.raises(traitlets.TraitError):
        widget(**traits)
