"""Write the test vectors of the file format: small .sws files, and what they hold in plain text.

    python scripts/make_vectors.py

Fills ``tests/vectors/``: ``NAME.sws`` beside ``NAME.json`` with its tensors, and in ``refused/``
files that a reader must refuse, which ``refused.json`` gives the reasons for. The page "File
format" says how to use them. Nothing is random: the same files come out every time.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_storage import sealed
from torch import Tensor

import nnc
from nnc.storage import CODERS, container, context, describe, dumps, loads, tensors
from nnc.storage.bits import varint

FOLDER = Path(__file__).parent.parent / "tests" / "vectors"
TYPES = {name: getattr(torch, name) for name in container.TYPES}


def codes_of(shape: tuple[int, ...], levels: int, share: float = 0.4, seed: int = 1) -> Tensor:
    """Codes that look random, from a rule that any language has: x becomes 16807 x mod 2³¹ - 1."""
    found, x = [], seed
    for _ in range(math.prod(shape)):
        x = 16807 * x % (2**31 - 1)
        found.append(1 + x // 1000 % (levels - 1) if x % 1000 < 1000 * share else 0)
    return torch.tensor(found, dtype=torch.int32).reshape(shape)


def book_of(levels: int, kind: str = "float32") -> Tensor:
    """Zero, then values of both signs that are not evenly spaced."""
    values = [(-1) ** k * (k + k * k / 64) / 8 for k in range(levels)]
    return torch.tensor(values, dtype=torch.float64).to(TYPES[kind])


def one(codes: Tensor, book: Tensor, name: str = "layer.weight") -> nnc.Quantised:
    """A network of one quantised weight."""
    return nnc.Quantised({name: codes}, {name: book}, {})


def forced(quantised: nnc.Quantised, form: str, scan: context.Scan | None = None) -> bytes:
    """A file in which every quantised weight is coded in one way, be it the shortest or not."""
    entries = []
    for name, codes in quantised.codes.items():
        entry, levels = tensors.of_codes(name, codes, quantised.codebooks[name], "float32")
        bounds, step = tensors.bounds_of(entry), container.rows_of_pieces(entry.shape)
        parts = [levels[at : at + step] for at in range(0, len(levels), step)]
        coded = [
            bytes([scan.byte]) + context._encode(part, bounds, scan, None)
            if scan
            else CODERS[form].encode(part, bounds)
            for part in parts
        ]
        entry = replace(entry, form=form, pieces=tuple(coded))
        entries.append(replace(entry, crc=container.checksum(entry)))
    return container.write(entries, {})


def scaled(steps: list[int], kind: str) -> bytes:
    """A file whose codebook is a scale and whole numbers of a type."""
    book = torch.tensor(steps, dtype=torch.float64) * torch.tensor(0.0123).double()
    (entry,) = describe(forced(one(codes_of((4, 20), len(steps)), book.float()), "raw")).entries
    numbers = np.float32(0.0123).tobytes() + np.array(steps, kind).tobytes()
    return container.write([replace(entry, stored=kind, numbers=numbers)], {})


def networks() -> dict[str, bytes]:
    """The files by name."""
    signed, book = codes_of((6, 20), 6), book_of(6)
    kernels = codes_of((5, 2, 3, 3), 9)
    files = {f"coder-{form}": forced(one(signed, book), form) for form in CODERS}
    for transposed in (False, True):
        for full in (False, True):
            for width in (1, 3):
                scan = context.Scan(transposed, full, width)
                name = (
                    f"scan-{'down' if transposed else 'across'}-{'full' if full else 'one'}-{width}"
                )
                files[name] = forced(one(kernels, book_of(9)), "context", scan)
    scan = context.Scan(False, True, 1)
    files["levels-positive"] = forced(one(signed, book.abs()), "context", scan)
    files["levels-negative"] = forced(one(signed, -book.abs()), "context", scan)
    files["levels-300"] = forced(one(codes_of((12, 25), 300), book_of(300)), "context", scan)
    files["levels-two"] = forced(one(codes_of((9, 9), 2), book_of(2)), "context", scan)
    files["levels-one"] = dumps(one(codes_of((2, 3), 2, 0), torch.zeros(1)))
    files["book-unordered"] = dumps(
        one(codes_of((4, 9), 7), torch.tensor([0, 2, -1, 2, 0, -3.25, 0.5]))
    )
    for kind in ("float16", "bfloat16", "float64"):
        files[f"weights-{kind}"] = dumps(one(signed, book_of(6, kind) / 3))
    for steps, kind in ((3, "int8"), (200, "int16"), (40_000, "int32")):
        files[f"scale-{kind}"] = scaled([0, 1, -1, 2, -2, steps], kind)
    files["half-precision"] = dumps(
        nnc.Quantised({"w": signed}, {"w": book / 3}, {"b": book / 7}), precision="float16"
    )
    files |= {"rest": dumps(nnc.Quantised({}, {}, rest())), "rest-coded": dumps(coded_rest())}
    files["hints"] = dumps(layers())
    files["ties"] = dumps(
        nnc.Quantised(
            {"in.weight": signed}, {"in.weight": book}, {"in.bias": book},
            {"out.weight": "in.weight", "out.bias": "in.bias"},
        )
    )  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {
        "0-d": (),
        "1-d": (5,),
        "none": (0, 4),
        "4-d": (2, 1, 3, 2),
    }
    files["shapes"] = dumps(
        nnc.Quantised(
            {name: codes_of(shape, 4) for name, shape in shapes.items()},
            dict.fromkeys(shapes, book_of(4)),
            {f"rest {name}": torch.full(shape, 0.5) for name, shape in shapes.items()},
        )
    )
    files["metadata"] = dumps(one(signed, book, "層.重み"), metadata={"licence": "CC0", "名": "値"})
    files["empty"] = dumps(nnc.Quantised({}, {}, {}))
    large = torch.zeros(2100, 1000, dtype=torch.int32)
    large[5::297, 3::155] = codes_of((8, 7), 3, 1.0)
    files["pieces"] = forced(one(large, book_of(3)), "context", context.Scan(False, False, 1))
    return files


def rest() -> dict[str, Tensor]:
    """Numbers as they are, of every type; names with the words that have a byte."""
    strange = [math.nan, math.inf, -math.inf, -0.0, 1e-45, 65504.0, 0.1, 6e-8]
    found = {
        f"{kind}.running_mean": torch.tensor(strange).to(TYPES[kind])
        for kind in ("float32", "float16", "float64", "bfloat16")
    }
    for kind, low in (
        ("int64", -(2**62)),
        ("int32", -(2**31)),
        ("int16", -(2**15)),
        ("int8", -128),
    ):
        found[f"{kind}.weight"] = torch.tensor([low, -1, 0, 1, -low - 1], dtype=TYPES[kind])
    found["uint8.bias"] = torch.tensor([0, 1, 255], dtype=torch.uint8)
    found["bool.bias"] = torch.tensor([True, False, True])
    found["num_batches_tracked"] = torch.tensor(1170)  # eight bytes that are stored in two
    return found


def coded_rest() -> nnc.Quantised:
    """Tensors of the rest with few distinct values, which are coded too."""
    found = {}
    for kind in TYPES:
        values = torch.tensor([0.0, 1.0]) if kind == "bool" else torch.tensor([0.0, 2.5, 7.0])
        picked = values[codes_of((90,), len(values), 0.2).long()]
        found[f"{kind}.running_var"] = picked.to(TYPES[kind])
    return nnc.Quantised({}, {}, found)


def layers() -> nnc.Quantised:
    """Four layers whose units are partly empty, so that the counts of one hint at the next."""
    shapes = {"a.weight": (24, 1, 3, 3), "b.weight": (30, 24, 3, 3), "c.weight": (20, 120)}
    shapes["d.weight"] = (10, 20)
    codes = {
        name: codes_of(shape, 5, 0.5, seed) for seed, (name, shape) in enumerate(shapes.items(), 2)
    }
    before = torch.ones(1)
    for tensor in codes.values():
        columns = tensor.view(len(tensor), -1)
        columns[:, before.repeat_interleave(columns.shape[1] // len(before)) == 0] = 0
        columns[::3] = 0
        before = (columns != 0).sum(1)
    rest = {name.replace("weight", "bias"): torch.zeros(len(c)) for name, c in codes.items()}
    return nnc.Quantised(codes, dict.fromkeys(codes, book_of(5)), rest)


def plain(data: bytes) -> dict[str, Any]:
    """What a file holds, for JSON."""
    file, found = describe(data), loads(data)
    listed = []
    for entry in file.entries:
        about: dict[str, Any] = {"name": entry.name, "type": entry.kind, "shape": list(entry.shape)}
        if entry.form == container.TIED:
            listed.append(about | {"tied to": found.ties[entry.name]})
        elif entry.name in found.codes:
            codes = found.codes[entry.name].flatten()
            about |= {"codebook": _numbers(found.codebooks[entry.name])}
            few = len(codes) <= 10_000
            about |= {"codes": codes.tolist()} if few else {"not zero": _lit(codes)}
            listed.append(about)
        else:
            listed.append(about | {"values": _numbers(found.rest[entry.name])})
    return {"metadata": dict(file.metadata), "tensors": listed}


def _lit(codes: Tensor) -> list[list[int]]:
    return [[int(place), int(codes[place])] for place in codes.nonzero().flatten()]


def _numbers(tensor: Tensor) -> list[Any]:
    """Numbers so that a reader of JSON finds the same ones; what is none of its numbers as text."""
    values = (tensor.double() if tensor.is_floating_point() else tensor).flatten().tolist()
    return [x if math.isfinite(x) else str(x) for x in values]


def refused() -> dict[str, tuple[str, bytes]]:
    """Files that must be refused, and why."""
    good = forced(one(codes_of((6, 20), 6), book_of(6)), "context")
    begin = describe(good).overhead
    found = {
        "magic": ("does not begin with SWS", b"SWT" + good[3:]),
        "version": ("is of version 3", b"SWS\3" + good[4:]),
        "short": ("ends too early", good[:-1]),
        "long": ("a byte follows the last tensor", good + b"\0"),
        "directory": ("a bit of the directory is another", _flipped(good, begin - 9)),
        "body": ("a bit of the body is another", _flipped(good, len(good) - 3)),
    }
    for form in CODERS:
        data = forced(one(codes_of((6, 20), 6), book_of(6)), form)
        for spare in (b"\0", b"\1"):
            why = f"a byte {spare[0]} follows the {form} matrix, inside its piece"
            found[f"spare-{form}-{spare[0]}"] = (why, _changed(data, lambda p, s=spare: p + s))
    codes = codes_of((3, 3), 3)
    raw = forced(one(codes, book_of(3)), "raw")
    found["spare-bits"] = (
        "the bits that fill the last byte are not 0",
        _changed(raw, lambda piece: piece[:-1] + bytes([piece[-1] | 1])),
    )
    rows = forced(one(torch.tensor([[1, 1, 0]], dtype=torch.int32), book_of(2)), "csr")
    found["rows-order"] = (
        "the columns of a row do not ascend",
        _changed(rows, lambda piece: piece[:2] + piece[3:1:-1] + piece[4:]),
    )
    (entry,) = describe(good).entries
    found["shape"] = ("more weights than memory", _written(replace(entry, shape=(2**40, 20))))
    found["hint"] = (
        "takes hints from a tensor that is not there",
        _written(replace(entry, hint=1)),
    )
    twice = [replace(entry, crc=container.checksum(entry))] * 2
    found["names"] = ("two tensors have one name", container.write(twice, {}))
    found["number"] = ("a number is longer than it need be", sealed(b"\x80\x00" + varint(0)))
    return found


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def _changed(data: bytes, change: Any) -> bytes:
    """The file of one tensor with another piece, all checksums right."""
    (entry,) = describe(data).entries
    return _written(replace(entry, pieces=(change(bytes(entry.pieces[0])),)))


def _written(entry: container.Entry) -> bytes:
    return container.write([entry], {})


def _lines(found: Mapping[str, Any]) -> str:
    """JSON with a line for each tensor."""
    rows = ",\n".join(json.dumps(tensor, ensure_ascii=False) for tensor in found["tensors"])
    about = json.dumps(found["metadata"], ensure_ascii=False)
    return f'{{"metadata": {about},\n"tensors": [\n{rows}\n]}}\n'


def files() -> Iterable[tuple[str, bytes]]:
    """Everything in the folder, by name."""
    for name, data in networks().items():
        yield f"{name}.sws", data
        yield f"{name}.json", _lines(plain(data)).encode()
    reasons = refused()
    for name, (_, data) in reasons.items():
        yield f"refused/{name}.sws", data
    text = json.dumps({name: why for name, (why, _) in reasons.items()}, indent=1)
    yield "refused/refused.json", f"{text}\n".encode()


def main() -> int:
    for path in FOLDER.rglob("*.*"):
        path.unlink()
    total = 0
    for name, data in files():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        total += len(data)
    print(f"{FOLDER}: {total} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
