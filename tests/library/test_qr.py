"""Networks on paper: an independent reader gives back the file, from photographs too."""

import re
import sys

import numpy as np
import pytest
import torch
import zxingcpp
from PIL import Image, ImageFilter

import nnc
from nnc import cli, storage
from nnc.storage.qr import MOST_BYTES, qr_code


@pytest.fixture
def stored(tmp_path):
    """A sparse LeNet-5 in as many bytes as a recorded one, its file and the picture of its code."""
    draws = torch.Generator().manual_seed(0)
    model = nnc.LeNet5Caffe()
    for weight in nnc.prunable_weights(model).values():
        weight.data = (torch.rand(weight.shape, generator=draws) < 800 / weight.numel()) / 8.0
    path, picture = tmp_path / "net.sws", tmp_path / "net.svg"
    names = nnc.prunable_weights(model)
    quantised = nnc.Quantised.from_state_dict(model.state_dict(), names)
    nnc.save(nnc.code_rest(quantised, 2), path, precision="float16")
    assert 2000 < path.stat().st_size < MOST_BYTES
    assert cli.main(["qr", str(path), str(picture)]) == 0
    return path, painted(picture.read_text())


def painted(svg):
    """The picture of a code in SVG: strokes one module wide on white, scaled."""
    side, scale = (int(re.search(key, svg)[1]) for key in (r'width="(\d+)"', r"scale\((\d+)\)"))
    modules = np.full((side // scale,) * 2, 255, np.uint8)
    x = y = 0
    for kind, dx, dy in re.findall(r"([Mmh])([-\d.]+)(?: ([-\d.]+))?", svg.split("qrline")[1]):
        start = x
        x, y = (0, 0) if kind == "M" else (x, y)
        x, y = x + int(dx), y + float(dy or 0)
        if kind == "h":
            modules[int(y), start:x] = 0
    return Image.fromarray(modules.repeat(scale, 0).repeat(scale, 1))


def photograph(picture):
    """Turned, leaning back, smaller, under uneven light, a little blurred, with noise."""
    side = picture.width
    paper = Image.new("L", (2 * side, 2 * side), 170)
    paper.paste(picture, (side // 2, side // 2))
    turned = paper.rotate(11, Image.Resampling.BICUBIC, fillcolor=170)
    corners = (40, 30, 0, 2 * side, 2 * side, 2 * side - 20, 2 * side - 60, 0)
    leaning = turned.transform(turned.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    small = leaning.resize((int(1.7 * side),) * 2, Image.Resampling.BICUBIC)
    blurred = np.asarray(small.filter(ImageFilter.GaussianBlur(0.8)), np.float64)
    light = np.linspace(0.55, 0.95, blurred.shape[1])
    noise = np.random.default_rng(0).normal(0, 6, blurred.shape)
    return Image.fromarray((blurred * light + 15 + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("taken", [lambda picture: picture, photograph], ids=["print", "photo"])
def test_a_reader_gives_back_the_file(stored, taken):
    path, picture = stored
    (found,) = zxingcpp.read_barcodes(taken(picture))
    assert found.bytes == path.read_bytes()
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        one, other = (
            network.load_into(nnc.LeNet5Caffe())(images)
            for network in (storage.loads(found.bytes), storage.load(path))
        )
    assert torch.equal(one, other)


@pytest.mark.parametrize("count", [1, 100, MOST_BYTES])
def test_any_bytes_come_back(count):
    data = np.random.default_rng(count).bytes(count)
    rows = np.array([*qr_code(data).matrix_iter(scale=3, border=4)], dtype=np.uint8)
    (found,) = zxingcpp.read_barcodes(Image.fromarray(255 * (1 - rows)))
    assert found.bytes == data


def test_one_byte_too_many_is_refused():
    with pytest.raises(ValueError, match=r"has 2,954 bytes, 1 more than the 2,953 of a QR code; "):
        qr_code(bytes(MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("net.sws", "net.gif"), "net.gif, must end in .svg, .png or .pdf"),
        (("net.svg", "other.svg"), "net.svg: the file begins with"),
        (("large.sws", "other.svg"), "more than the 2,953 of a QR code"),
    ],
)
def test_what_cannot_be_printed_is_one_line(stored, names, message, tmp_path, capsys):
    quantised = nnc.Quantised({}, {}, {"rest": torch.randn(1000)})
    nnc.save(quantised, tmp_path / "large.sws")
    capsys.readouterr()
    assert cli.main(["qr", *(str(tmp_path / name) for name in names)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "other.svg").exists()


def test_without_segno_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'nnc-book\[qr\]'"):
        qr_code(b"network")
