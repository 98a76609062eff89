"""The page "File format" is enough to write a decoder from: here are two, and they agree."""

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path

import page_decoder
import pytest
import torch
import vectors
from storage_networks import chain, network
from test_widgets import run_node

import nnc
import nnc_book.widgets
from nnc.storage import container, context, describe, dumps, loads
from nnc_book import records

SCRIPT = Path(nnc_book.widgets.__file__).with_name("sws.js")


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


def agrees_in_python(data):
    found, metadata = page_decoder.decode(data)
    expected = loads(data)
    for name, codes in expected.codes.items():
        form, numbers, book, _ = found[name]
        assert form < 16
        assert numbers == codes.flatten().tolist()
        assert book == expected.codebooks[name].tolist()
    for name, owner in expected.ties.items():
        assert found[name] is found[owner]
    for name, tensor in expected.rest.items():
        form, numbers, book, plain = found[name]
        plain = plain if form == 0 else [book[number] for number in numbers]
        assert plain == tensor.flatten().tolist()
    return metadata


def agrees_in_the_page(data):
    """The same for the decoder that the interactive figure has, which gives numbers alone."""
    found = run_node(f"""
        const {{ decode }} = await import("{SCRIPT.as_uri()}");
        const bytes = Uint8Array.from(Buffer.from("{base64.b64encode(data).decode()}", "base64"));
        const found = [...decode(bytes)].map(([name, {{ values }}]) => [name, [...values]]);
        console.log(JSON.stringify(Object.fromEntries(found)));
    """)
    expected = loads(data)
    assert found == {k: tensor.flatten().tolist() for k, tensor in expected.state_dict().items()}


@pytest.fixture(params=[agrees_in_python, agrees_in_the_page])
def agrees(request):
    """A function that compares a decoder's answer with the package's."""
    return request.param


def typed(kind):
    """Weights of another type, and two names for each tensor."""
    one = chain()
    books = {name: book.to(kind) / 3 for name, book in one.codebooks.items()}
    ties = {f"{name} again": name for name in (*one.codes, *one.rest)}
    return nnc.Quantised(one.codes, books, one.rest, ties)


NETWORKS = {
    "half": typed(torch.float16),
    "brain": typed(torch.bfloat16),
    "double": typed(torch.float64),
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
    data = dumps(NETWORKS[name], precision=precision, metadata={"a": "b"})
    assert agrees_in_python(data) == {"a": "b"}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_page_reads_what_the_package_reads(name, precision):
    agrees_in_the_page(dumps(NETWORKS[name], precision=precision, metadata={"a": "b"}))


@pytest.mark.parametrize("coder", ["raw", "csr", "context"])
def test_every_coder_is_read(agrees, coder, monkeypatch):
    """The encoder is made to choose each coder in turn."""
    from nnc.storage import coding

    def only(entry, levels, distance, hints):
        hinted = {"hints": hints} if coder == "context" else {}
        data = coding.CODERS[coder].encode(levels, coding.bounds_of(entry), **hinted)
        hint = distance if coder == "context" and coding.context.uses_hints(data) else 0
        return replace(entry, form=coder, pieces=(data,), hint=hint)

    monkeypatch.setattr(coding, "_coded", lambda e, *more: only(e, *more) if e.book > 1 else e)
    agrees(dumps(chain()))
    agrees(dumps(network((12, 25), 5, 0.8)))


@pytest.mark.parametrize(
    "scan", [(True, True, 1), (False, False, 3), (True, False, 1), (False, True, 28)]
)
def test_every_scan_is_read(agrees, scan, monkeypatch):
    chosen = context.Scan(*scan)

    def only(levels, bounds, *, hints=None, width=1):
        return bytes([chosen.byte]) + context._encode(levels, bounds, chosen, hints)

    monkeypatch.setattr(context, "encode", only)
    agrees(dumps(tall()))


@pytest.mark.parametrize("coder", ["raw", "context"])
def test_pieces_are_read(coder, monkeypatch):
    monkeypatch.setattr(container, "PIECE", 100)
    monkeypatch.setattr(page_decoder, "PIECE", 100)
    network = tall() if coder == "context" else one_sided(1)
    assert max(len(entry.pieces) for entry in describe(dumps(network)).entries) > 5
    agrees_in_python(dumps(network))


def test_the_page_reads_pieces():
    codes = torch.zeros(2100, 1000, dtype=torch.int32)
    codes[5::97, 3::55] = 1
    large = nnc.Quantised({"w": codes}, {"w": torch.tensor([0.0, 1.0])}, {})
    (entry,) = describe(dumps(large)).entries
    assert len(entry.pieces) == 2
    text = base64.b64encode(dumps(large)).decode()
    found = run_node(f"""
        const {{ decode }} = await import("{SCRIPT.as_uri()}");
        const bytes = Uint8Array.from(Buffer.from("{text}", "base64"));
        const lit = [...decode(bytes).get("w").values.entries()].filter(([, value]) => value);
        console.log(JSON.stringify(lit.map(([place]) => place)));
    """)
    assert found == codes.flatten().nonzero().flatten().tolist()


def test_the_recorded_network_is_read(agrees):
    agrees((records.FOLDER / "lenet300-sws" / "seed-0.sws").read_bytes())


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16", "float64", "int64", "bool"])
def test_numbers_of_every_type_are_read(agrees, kind):
    numbers = torch.tensor([0.0, 1.0, -2.5, 65504.0, 6e-8]).to(getattr(torch, kind))
    agrees(dumps(nnc.Quantised(chain().codes, chain().codebooks, {"numbers": numbers})))


def test_the_page_refuses_damaged_files():
    data = dumps(chain())
    damaged = [data[:4], data[:-1], data[:40] + bytes([data[40] ^ 1]) + data[41:], b"PK" + data]
    # A right checksum over nonsense: the reader has to find out by itself.
    listed = data.index(zlib.crc32(data[: (end := 5 + data[4])]).to_bytes(4, "little"))
    assert listed == end
    for at in range(5, end):
        body = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 : end]
        damaged.append(body + zlib.crc32(body).to_bytes(4, "little") + data[end + 4 :])
    texts = json.dumps([base64.b64encode(one).decode() for one in damaged])
    said = run_node(f"""
        const {{ decode }} = await import("{SCRIPT.as_uri()}");
        const said = {texts}.map((text) => {{
            try {{ decode(Uint8Array.from(Buffer.from(text, "base64"))); return "read"; }}
            catch (error) {{ return String(error.message); }}
        }});
        console.log(JSON.stringify(said));
    """)
    assert all("not a readable .sws file" in one for one in said[:4])
    # With a right checksum some damage is another network; all else is refused in these words.
    assert {one.partition(":")[0] for one in said} == {"not a readable .sws file", "read"}


def said_by_the_page(files):
    """For each file what its tensors hold, as [name, shape, [place, number] of what is not 0]."""
    texts = json.dumps([base64.b64encode(one).decode() for one in files])
    return run_node(f"""
        const {{ decode }} = await import("{SCRIPT.as_uri()}");
        const told = (x) => Number.isFinite(x) ? x : String(x);
        const rows = (values) => [...values.entries()].filter(([, x]) => x !== 0 || 1 / x < 0);
        const said = {texts}.map((text) => {{
            try {{
                const found = decode(Uint8Array.from(Buffer.from(text, "base64")));
                return [...found].map(([name, {{ shape, values }}]) =>
                    [name, shape, rows(values).map(([place, x]) => [place, told(x)])]);
            }} catch (error) {{ return String(error.message); }}
        }});
        console.log(JSON.stringify(said));
    """)


def test_the_page_reads_the_test_vectors():
    words = {"NaN": "nan", "Infinity": "inf", "-Infinity": "-inf"}
    files = [vectors.file(name) for name in vectors.NAMES]
    for name, found in zip(vectors.NAMES, said_by_the_page(files), strict=True):
        told = vectors.plain(name)["tensors"]
        assert [row[:2] for row in found] == [[one["name"], one["shape"]] for one in told], name
        for (_, _, rows), tensor in zip(found, told, strict=True):
            values = torch.zeros(tensor["dense"].numel(), dtype=torch.float64)
            for place, number in rows:
                values[place] = float(words.get(number, number))
            # Whole numbers of 64 bits become floating point in the page.
            expected = tensor["dense"].flatten().double()
            assert torch.equal(values.nan_to_num(7), expected.nan_to_num(7)), name


def test_the_page_refuses_what_is_to_be_refused():
    files = [(vectors.FOLDER / "refused" / f"{name}.sws").read_bytes() for name in vectors.REFUSED]
    for name, said in zip(vectors.REFUSED, said_by_the_page(files), strict=True):
        assert str(said).startswith("not a readable .sws file: "), name
