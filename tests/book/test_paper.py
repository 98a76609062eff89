"""Stored networks with their units in order, and as a code on paper."""

import base64
import io
import json
from functools import partial

import numpy as np
import pytest
import torch
import traitlets
import zxingcpp
from PIL import Image
from test_digit import draw_a_one, table
from test_figures import widget_page
from test_qr import photograph
from test_widgets import module_of, run_node

import nnc
from nnc import data, storage
from nnc.storage.qr import qr_code
from nnc_book import records
from nnc_book.widgets import Paper


@pytest.mark.parametrize(
    ("recipe", "build"), [("lenet300-kd-sws", nnc.LeNet300100), ("lenet5-kd-sws", nnc.LeNet5Caffe)]
)
def test_a_recorded_network_gets_smaller(recipe, build):
    quantised = records.network(recipe)
    images = data.as_input(data.load("mnist-5k").test.images[:64])
    sorted_ = nnc.sort_units(quantised, build(), images[:2])
    write = partial(storage.dumps, precision="float16")
    assert len(write(sorted_)) < 0.97 * len(write(quantised))
    with torch.no_grad():
        one, other = (q.load_into(build()).eval()(images) for q in (quantised, sorted_))
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


FILE = records.FOLDER / records.read("lenet5-kd-sws")["runs"][0]["file"]


def picture(content, scale=4):
    rows = np.array([*qr_code(content).matrix_iter(scale=scale, border=4)], dtype=np.uint8)
    return Image.fromarray(255 * (1 - rows))


def turned(content, angle):
    return picture(content).rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=220)


def covered(content):
    """A hundred modules white, as under a thumb."""
    pixels = np.array(picture(content))
    pixels[300:340, 300:340] = 255
    return Image.fromarray(pixels)


def noise(count):
    return np.random.default_rng(count).bytes(count)


PICTURES = [
    *(picture(noise(count), 3) for count in range(231, 2954, 389)),
    *(turned(FILE.read_bytes(), angle) for angle in (7, 45, 100, 200)),
    *(picture(FILE.read_bytes(), scale) for scale in (1, 2)),
    *(take(FILE.read_bytes()) for take in (covered, lambda content: photograph(picture(content)))),
]


def test_the_page_reads_what_another_reader_reads(tmp_path):
    shapes, expected = [], []
    for index, one in enumerate(PICTURES):
        (tmp_path / str(index)).write_bytes(one.convert("RGBA").tobytes())
        shapes.append(one.size)
        (found,) = zxingcpp.read_barcodes(one)
        expected.append(base64.b64encode(found.bytes).decode())
    found = run_node(f"""
        const {{ readCode }} = await import("{module_of(Paper, tmp_path)}");
        const {{ readFileSync }} = await import("node:fs");
        const read = ([width, height], index) => readCode(
            {{ width, height, data: readFileSync(`{tmp_path}/${{index}}`) }});
        console.log(JSON.stringify({json.dumps(shapes)}.map((shape, index) => {{
            const bytes = read(shape, index);
            return bytes && Buffer.from(bytes).toString("base64");
        }})));
    """)
    assert found == expected


def test_a_picture_without_a_code_gives_nothing(tmp_path):
    assert run_node(f"""
        const {{ readCode }} = await import("{module_of(Paper, tmp_path)}");
        const noise = Array.from({{ length: 160000 }}, (_, i) => (i * i * 7919) % 251);
        const pictures = [Array(160000).fill(255), noise];
        const read = (data) => readCode({{ data, width: 200, height: 200 }});
        console.log(JSON.stringify(pictures.map(read)));
    """) == [None, None]


@pytest.mark.parametrize("wrong", [0, 1, 7, 15])
def test_wrong_bytes_of_a_block_are_put_right(tmp_path, wrong):
    block = noise(118)
    assert run_node(f"""
        const {{ corrected }} = await import("{module_of(Paper, tmp_path)}");
        const zero = Array(148).fill(0); // a code word of any such code
        {[*block[: 2 * wrong]]}.forEach((byte, i) => (zero[(37 * i) % 148] = i % 2 ? byte : 0));
        console.log(JSON.stringify([corrected(zero, 30), Math.max(...zero)]));
    """) == [True, 0]


@pytest.fixture(scope="module")
def widget():
    digits = data.load("mnist-5k").test
    return Paper(FILE.read_bytes(), digits.images[:3, 0], digits.labels[:3].tolist())


def logits(image):
    network = storage.load(FILE).load_into(nnc.LeNet5Caffe()).eval()
    with torch.no_grad():
        return network(data.as_input(image.view(1, 1, 28, 28)))


def test_the_network_in_the_picture_answers(shown, widget):
    page = shown(widget_page(widget))
    assert page.get_by_role("radio").count() == 0  # nothing is known before it is read
    page.get_by_role("button", name="Read the code above").click()
    page.get_by_text("As float32 numbers").wait_for()
    said = page.locator(".nnc-paper .status").inner_text()
    assert said.startswith(f"{FILE.stat().st_size:,} bytes read")
    expected = logits(data.load("mnist-5k").test.images[0])
    torch.testing.assert_close(table(page), expected, rtol=0, atol=1e-3)
    draw_a_one(
        page,
        lambda x, y: (page.mouse.move(x, y), page.mouse.down()),
        page.mouse.move,
        page.mouse.up,
    )
    page.get_by_text("On paper: 1, probability").first.wait_for()


def test_a_photograph_is_read_on_a_phone_and_another_picture_is_not(shown, widget, tmp_path):
    page = shown(widget_page(widget), 375)
    photograph(picture(FILE.read_bytes())).save(tmp_path / "photo.png")
    Image.new("L", (300, 300), 200).save(tmp_path / "grey.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (
        ("grey.png", "No code could be read."),
        ("text.png", "could not be decoded"),
        ("photo.png", f"{FILE.stat().st_size:,} bytes read"),
    ):
        page.locator("input[type=file]").set_input_files(tmp_path / name)
        page.locator(".nnc-paper .status").get_by_text(message).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    for target in page.locator("button, input[type=file], fieldset label, summary").all():
        box = target.bounding_box()
        assert min(box["height"], box["width"]) > 43.99, box


def test_a_code_that_holds_no_network_says_so(shown, widget, tmp_path):
    page = shown(widget_page(widget))
    picture(noise(500)).save(tmp_path / "noise.png")
    page.locator("input[type=file]").set_input_files(tmp_path / "noise.png")
    page.get_by_text("not a readable .sws file").wait_for()
    assert page.get_by_role("radio").count() == 0


def test_the_picture_that_stands_still_can_be_read():
    paper = Paper(FILE.read_bytes(), torch.zeros(1, 28, 28, dtype=torch.uint8), [0])
    bundle, _ = paper._repr_mimebundle_()
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as still:
        (found,) = zxingcpp.read_barcodes(still.convert("L"))
    assert found.bytes == FILE.read_bytes()


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(traitlets.TraitError, match="one for each digit"):
        Paper(FILE.read_bytes(), torch.zeros(1, 28, 28, dtype=torch.uint8), [])
    with pytest.raises(storage.StorageError):
        Paper(b"no network", torch.zeros(1, 28, 28, dtype=torch.uint8), [0])
