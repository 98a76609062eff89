"""The page "File format" is enough to write a decoder from: here is one, and it agrees."""

import page_decoder
import pytest
import torch
from storage_networks import chain, network

import nnc
from nnc import records
from nnc.storage import context, dumps, loads


def tall(seed=0):
    """Convolutions that read each other, and more levels than small steps."""
    generator = torch.Generator().manual_seed(seed)
    codes, books = {}, {}
    for name, shape, levels in (
        ("a", (16, 3, 3, 3), 40),
        ("b", (20, 16, 3, 3), 300),
        ("c", (9, 20), 3),
    ):
        codes[name] = torch.randint(0, levels, shape, generator=generator, dtype=torch.int32)
        codes[name][torch.rand(shape, generator=generator) < 0.7] = 0
        codes[name][:, ::3] = 0
        books[name] = torch.cat([torch.zeros(1), torch.randn(levels - 1, generator=generator)])
    return nnc.Quantised(codes, books, {"bias": torch.randn(20, generator=generator).half()})


def one_sided(sign):
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 6, (30, 50), generator=generator, dtype=torch.int32)
    codes[torch.rand(codes.shape, generator=generator) < 0.8] = 0
    return nnc.Quantised({"w": codes}, {"w": sign * torch.arange(6.0).sqrt()}, {})


def agrees(data):
    found, metadata = page_decoder.decode(data)
    expected = loads(data)
    for name, codes in expected.codes.items():
        form, numbers, book, _ = found[name]
        assert form < 16
        assert numbers == codes.flatten().tolist()
        assert book == expected.codebooks[name].tolist()
    for name, tensor in expected.rest.items():
        form, numbers, book, plain = found[name]
        plain = plain if form == 0 else [book[number] for number in numbers]
        assert plain == tensor.flatten().tolist()
    return metadata


NETWORKS = {
    "chain": chain(),
    "tall": tall(),
    "few": network((9, 31), 3, 0.9),
    "many": network((20, 31), 700, 0.2),
    "dense": network((40, 40), 16, 0.0),
    "wide": network((1, 900), 4, 0.95),
    "rare": network((60, 2), 2, 0.99),
    "positive": one_sided(1),
    "negative": one_sided(-1),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_second_decoder_reads_what_the_first_reads(name, precision):
    assert agrees(dumps(NETWORKS[name], precision=precision, metadata={"a": "b"})) == {"a": "b"}


@pytest.mark.parametrize("coder", ["raw", "csr", "relative", "huffman", "context"])
def test_every_coder_is_read(coder, monkeypatch):
    """The encoder is made to choose each coder in turn."""
    from nnc.storage import tensors

    def only(levels, bounds, shape, hints):
        module = tensors.CODERS[coder]
        more = {"hints": hints} if coder == "context" else {}
        return coder, module.encode(levels, bounds, **more)

    monkeypatch.setattr(tensors, "_smallest", only)
    agrees(dumps(chain()))
    agrees(dumps(network((12, 25), 5, 0.8)))


@pytest.mark.parametrize(
    "scan", [(True, True, 1), (False, False, 3), (True, False, 1), (False, True, 28)]
)
def test_every_scan_is_read(scan, monkeypatch):
    chosen = context.Scan(*scan)

    def only(levels, bounds, *, hints=None, width=1):
        return bytes([chosen.byte]) + context._encode(levels, bounds, chosen, hints)

    monkeypatch.setattr(context, "encode", only)
    agrees(dumps(tall()))


def test_the_recorded_network_is_read():
    agrees((records.FOLDER / "lenet300-sws" / "seed-0.sws").read_bytes())
