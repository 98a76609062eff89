import base64
import json

import pytest
import torch
import traitlets
from test_widgets import module_of, run_node

from nnc import data
from nnc.storage import StorageError
from nnc_book import records
from nnc_book.widgets import Digit

FILE = (records.FOLDER / "lenet300-sws" / "seed-0.sws").read_bytes()
OTHER = (records.FOLDER / "lenet300-quantised" / "seed-0.sws").read_bytes()


@pytest.fixture(scope="module")
def digits():
    return data.load("mnist-5k").test


@pytest.fixture
def module(tmp_path):
    return module_of(Digit, tmp_path)


def make(digits, count=3, **traits):
    images, labels = digits.images[:count, 0], digits.labels[:count].tolist()
    return Digit({"small": FILE, "8 bits": OTHER}, images, labels, **traits)


def test_the_page_answers_as_python_does(digits, module, tmp_path):
    widget = make(digits, 50)
    (tmp_path / "widget.json").write_text(json.dumps([widget.files, widget.digits]))
    found = run_node(f"""
        const {{ layersOf, logitsOf }} = await import("{module}");
        const bytesOf = (text) => Uint8Array.from(Buffer.from(text, "base64"));
        const text = await (await import("fs")).promises.readFile("{tmp_path}/widget.json");
        const [files, digits] = JSON.parse(text);
        const networks = files.map((file) => layersOf(bytesOf(file)));
        const said = networks.map((one) => digits.map((pixels) => logitsOf(one, bytesOf(pixels))));
        console.log(JSON.stringify(said));
    """)
    expected = []
    for image in digits.images[:50]:
        widget.image = image.flatten().tolist()
        expected.append(widget.logits())
    found, expected = torch.tensor(found), torch.stack(expected, dim=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert (found.argmax(-1) == expected.argmax(-1)).all()


def centred(module, ink, side):
    whole = ink.to(torch.uint8).flatten().tolist()
    return torch.tensor(
        run_node(f"""
            const {{ centred }} = await import("{module}");
            const ink = Buffer.from("{base64.b64encode(bytes(whole)).decode()}", "base64");
            console.log(JSON.stringify(centred(ink, {side})));
        """)
    ).view(28, 28)


@pytest.mark.parametrize(("index", "left", "top"), [(0, 0, 0), (1, 100, 60), (6, 140, 140)])
def test_a_stored_digit_drawn_anywhere_comes_back_as_it_was(digits, module, index, left, top):
    twenty = [one for one in digits.images[:, 0] if box_of(one) == 20]
    ink = torch.zeros(280, 280)
    large = twenty[index].repeat_interleave(7, 0).repeat_interleave(7, 1)
    rows, columns = (large.amax(axis).nonzero() for axis in (1, 0))
    cut = large[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    ink[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    assert torch.equal(centred(module, ink, 280), twenty[index].long())


def box_of(image):
    """The longer side of what is lit, where no edge is so faint that the page overlooks it."""
    sides = [[(image >= least).sum(axis).count_nonzero() for axis in (0, 1)] for least in (1, 16)]
    return max(sides[0]) if sides[0] == sides[1] else None


def test_a_drawing_fills_twenty_pixels_and_lies_on_its_centre_of_mass(module):
    ink = torch.zeros(100, 100)
    ink[10:50, 80:90] = 255  # a one
    ink[40:50, 60:90] = 255
    found = centred(module, ink, 100).double()
    rows, columns = (found.sum(axis) > 0 for axis in (1, 0))
    assert rows.sum() == 20
    assert columns.sum() == 15
    grid = torch.arange(28, dtype=torch.float64)
    for axis in (0, 1):
        mean = (found.sum(axis) * grid).sum() / found.sum()
        assert abs(mean - 14) <= 0.5


def test_an_empty_drawing_is_an_empty_image(module):
    assert not centred(module, torch.zeros(28, 28), 28).any()
    assert centred(module, torch.full((28, 28), 255.0), 28).count_nonzero() == 400


def test_it_has_a_still_picture_and_says_what_it_is(digits):
    widget = make(digits)
    data, _ = widget._repr_mimebundle_()
    assert data["text/plain"] == "Digit(small, 8 bits; 3 digits)"
    assert "image/png" in data


def test_parts_that_do_not_go_together_are_refused(digits):
    with pytest.raises(traitlets.TraitError, match="must have 3"):
        Digit({"a": FILE}, digits.images[:3, 0], [1, 2])
    with pytest.raises(traitlets.TraitError, match="28"):
        Digit({"a": FILE}, digits.images[:3], [1, 2, 3])
    with pytest.raises(traitlets.TraitError):
        make(digits, image=[0, 300] * 392)
    with pytest.raises(StorageError):
        Digit({"a": FILE[:-9]}, digits.images[:1, 0], [1])
