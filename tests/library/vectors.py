"""The test vectors, read from their plain text alone."""

import json
import zlib
from pathlib import Path

import torch

FOLDER = Path(__file__).parent.parent / "vectors"
NAMES = sorted(path.stem for path in FOLDER.glob("*.sws"))
REFUSED = json.loads((FOLDER / "refused" / "refused.json").read_text(encoding="utf-8"))
TYPES = ["float32", "float16", "float64", "bfloat16", "int64", "int32", "int16", "int8", "uint8"]
TYPES.append("bool")


def file(name):
    """The bytes of a file."""
    return (FOLDER / f"{name}.sws").read_bytes()


def plain(name):
    """What its text says: metadata, and the tensors with "dense" as a Tensor, codes as one too."""
    found = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    dense = {}
    for tensor in found["tensors"]:
        if "codebook" in tensor:
            tensor["codebook"] = _numbers(tensor["codebook"], tensor["type"])
            tensor["codes"] = _codes(tensor)
            tensor["dense"] = tensor["codebook"][tensor["codes"].long()]
        elif "values" in tensor:
            tensor["dense"] = _numbers(tensor["values"], tensor["type"]).reshape(tensor["shape"])
        else:
            tensor |= {
                "dense": dense[tensor["tied to"]],
                "place": list(dense).index(tensor["tied to"]),
            }
        dense[tensor["name"]] = tensor["dense"]
    return found


def _numbers(values, kind):
    numbers = [float(x) if isinstance(x, str) else x for x in values]
    wide = torch.int64 if "float" not in kind else torch.float64
    found = torch.tensor(numbers, dtype=wide)
    # By way of float32, so that what is no number is the usual one.
    found = found.float() if kind in ("float16", "bfloat16") else found
    return found.to(getattr(torch, kind))


def _codes(tensor):
    codes = torch.zeros(torch.Size(tensor["shape"]).numel(), dtype=torch.int32)
    for place, code in tensor.get("not zero", enumerate(tensor.get("codes", []))):
        codes[place] = code
    return codes.reshape(tensor["shape"])


def lines(name):
    """What tests/library/c/read_all.c says of a file that its text is true of."""
    found, said = plain(name)["tensors"], []
    for at, tensor in enumerate(found):
        own = found[tensor.get("place", at)]
        floats = tensor["dense"].float()
        parts = [tensor["name"].encode().hex(), str(tensor.get("place", at))]
        parts += [str(TYPES.index(tensor["type"]))]
        parts += [_sum(floats.where(~floats.isnan(), torch.nan)), _sum(tensor["dense"])]
        parts += [_sum(own[key]) if key in own else "-" for key in ("codes", "codebook")]
        said.append(" ".join([*parts, *map(str, tensor["shape"])]))
    return said


def _sum(tensor):
    data = tensor.contiguous().reshape(-1).view(torch.uint8).numpy() if tensor.numel() else b""
    return f"{zlib.crc32(data):08x}"
