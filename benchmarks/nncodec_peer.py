"""What NNCodec (ISO/IEC 15938-17) needs for tensors of integer levels, stored without loss.

    python benchmarks/nncodec_peer.py codes.npz        # int32 arrays, name → levels

It runs in an environment of its own, where NNCodec's extension compiles for some minutes; of its
dependencies the integer path needs NumPy alone:

    python3.11 -m venv nncodec-env
    nncodec-env/bin/pip install "numpy<2"
    nncodec-env/bin/pip install --no-deps nncodec==2.1.3
    nncodec-env/bin/python benchmarks/nncodec_peer.py codes.npz

Levels go straight into its arithmetic coder (DeepCABAC), with no quantiser in between, and come
out of its decoder again; anything but the input is an error. Tried for each tensor: the search for
initial context states, the skipping of rows of zeros, the five scan orders, the number of
greater-than flags, and a codebook whose ends bound the levels. Dependent quantisation would
change values; temporal contexts and a history need an earlier version of the network.

``bytes`` and ``total`` are the coder's payload alone: no names, shapes, entry points of block
scans, and no codebook. ``container_bytes`` is one complete file with every tensor, written and
read by NNCodec's own ``compress`` and ``decompress`` at the best settings common to all tensors.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from nncodec.extensions import deepCABAC

UNIFORM, PROFILE, NO_PARENT = 0, 1, 0  # no dependent quantisation; as NNCodec's compress() has it
NO_HISTORY = (deepCABAC.HdspMode.AlwaysOff, np.zeros(2, np.int8))
STEP_BITS = 8  # for the step size, which precedes a tensor with a codebook
FLAGS = (10, *range(10), 12, 15, 20, 30)  # NNCodec's default first


class Settings(NamedTuple):
    """What the encoder may choose without changing a value."""

    codebook: bool = False
    param_opt: bool = True
    row_skipping: bool = False
    scan_order: int = 0
    cabac_unary_length_minus1: int = 10


def codebook_of(levels: np.ndarray, settings: Settings) -> tuple[int, int]:
    """How many levels there are from the lowest to the highest, and where zero is."""
    if not settings.codebook:
        return 0, 0
    low, high = min(int(levels.min()), 0), max(int(levels.max()), 0)
    return high - low + 1, -low


def encode(levels: np.ndarray, settings: Settings) -> np.ndarray:
    encoder = deepCABAC.Encoder()
    if settings.codebook:
        encoder.iae_v(STEP_BITS, 0)
    encoder.initCtxModels(settings.cabac_unary_length_minus1 + 1, settings.param_opt)
    zero_rows = (levels.reshape(len(levels), -1) == 0).all(1) & (levels.ndim > 1)
    where = (UNIFORM, settings.scan_order, PROFILE, NO_PARENT)
    rows = (settings.row_skipping, zero_rows.astype(np.int32))
    encoder.encodeLayer(levels, *where, *rows, *NO_HISTORY, *codebook_of(levels, settings))
    return encoder.finish()


def decode(
    payload: np.ndarray, shape: tuple[int, ...], settings: Settings, codebook: tuple[int, int]
) -> np.ndarray:
    levels = np.zeros(shape, np.int32)
    decoder = deepCABAC.Decoder()
    decoder.setStream(payload)
    if settings.codebook:
        decoder.iae_v(STEP_BITS)
    decoder.initCtxModels(settings.cabac_unary_length_minus1 + 1)
    where = (UNIFORM, settings.scan_order, PROFILE, NO_PARENT)
    entries = settings.scan_order > 0 and shape[0] > 4 << settings.scan_order
    run = decoder.decodeLayerAndCreateEPs if entries else decoder.decodeLayer
    run(levels, *where, *NO_HISTORY, *codebook)
    if decoder.finish() != len(payload):
        raise ValueError("the decoder stops before the payload's end")
    return levels


def search(tensors: list[np.ndarray], codebooks: tuple[bool, ...]) -> Settings:
    """The settings of the fewest bytes: all but the flags together, then the flags."""

    def size(settings: Settings) -> int:
        return sum(len(encode(levels, settings)) for levels in tensors)

    choices = product(codebooks, (True, False), (False, True), range(5))
    best = min((Settings(*choice) for choice in choices), key=size)
    return min((best._replace(cabac_unary_length_minus1=flags) for flags in FLAGS), key=size)


def check(name: str, before: np.ndarray, after: np.ndarray) -> None:
    if before.dtype != after.dtype or not np.array_equal(before, after):
        raise ValueError(f"{name} does not decode to what was encoded")


def file_api() -> ModuleType:
    """``nncodec.nnc`` without what it imports for whole PyTorch and TensorFlow models."""
    frameworks = ModuleType("nncodec.framework")
    for name in ("pytorch_model", "tensorflow_model", "use_case_init"):
        setattr(frameworks, name, None)
    sys.modules["nncodec.framework"] = frameworks
    from nncodec import nnc

    return nnc


def container(tensors: dict[str, np.ndarray]) -> bytes:
    """One file of all tensors; the payloads in it are those that ``encode`` makes."""
    nnc = file_api()
    settings = search(list(tensors.values()), codebooks=(False,))
    options = settings._asdict()
    del options["codebook"]  # NNCodec's file has codebooks for floating point only
    stream = bytes(
        nnc.compress(tensors, bitstream_path=None, return_bitstream=True, use_dq=False, **options)
    )
    decoded = nnc.decompress(bytearray(stream))
    for name, levels in tensors.items():
        check(name, levels, decoded[name])
        if encode(levels, settings).tobytes() not in stream:
            raise ValueError(f"NNCodec's file has another payload for {name}")
    return stream


def timed(work: Callable[[str], Any], names: Iterable[str]) -> tuple[dict[str, Any], float]:
    """What ``work`` gives for each name, and the seconds of all together."""
    start = time.perf_counter()
    results = {name: work(name) for name in names}
    return results, time.perf_counter() - start


def measure(tensors: dict[str, np.ndarray]) -> dict[str, object]:
    best, searching = timed(lambda name: search([tensors[name]], (False, True)), tensors)
    payloads, encoding = timed(lambda name: encode(tensors[name], best[name]), tensors)
    books = {name: codebook_of(levels, best[name]) for name, levels in tensors.items()}
    shapes = {name: levels.shape for name, levels in tensors.items()}
    decoded, decoding = timed(lambda n: decode(payloads[n], shapes[n], best[n], books[n]), tensors)
    for name, levels in tensors.items():
        check(name, levels, decoded[name])
    return {
        "bytes": {name: len(payload) for name, payload in payloads.items()},
        "total": sum(map(len, payloads.values())),
        "container_bytes": len(container(tensors)),
        "encode_seconds": encoding,
        "decode_seconds": decoding,
        "search_seconds": searching,
        "settings": {name: chosen._asdict() for name, chosen in best.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("codes", type=Path, help="an .npz file of int32 arrays, name → levels")
    with np.load(parser.parse_args().codes) as file:
        tensors = {name: np.ascontiguousarray(file[name]) for name in file.files}
    for name, levels in tensors.items():
        if levels.dtype != np.int32 or levels.ndim == 0 or levels.size == 0:
            raise SystemExit(f"{name}: {levels.dtype} of shape {levels.shape}, not int32 levels")
    print(json.dumps(measure(tensors), indent=2))


if __name__ == "__main__":
    main()
