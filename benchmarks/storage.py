"""Bytes and seconds of the storage coders beside their peers, all in one run.

    python benchmarks/storage.py                                       # recorded and live networks
    python benchmarks/storage.py --peer nncodec-env/bin/python         # and NNCodec beside them
    python benchmarks/storage.py --peer … model.safetensors --bits 4   # a network of your own

Bytes are those of the coded weights alone: no names, shapes, codebooks or biases. ``entropy`` is
the order-0 entropy per tensor, which no code of single weights can beat; zlib and xz see one byte
per weight. ``nnc`` is what a .sws file takes. NNCodec runs in an environment of its own (see
``nncodec_peer.py``); its bytes are the best over all of its settings for every tensor, its seconds
those at these settings, without the search. Seconds of ``nnc`` count everything ``dumps`` and
``loads`` do, with numba warm.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
import subprocess
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np
import torch

from nnc import Quantised, storage
from nnc.pruning import quantise_kmeans
from nnc.storage import packing
from nnc.storage.tensors import signed_levels
from nnc_book import lessons, records
from nnc_book.coders import CODERS

COLUMNS = (*CODERS, "zlib", "xz", "entropy", "nnc")


def networks(files: list[Path], levels: int, prune: float) -> dict[str, Quantised]:
    """What is measured: given files, or all recorded networks and two live ones."""
    if files:
        return {file.name: quantise_kmeans(packing.read(file), levels, prune) for file in files}
    found = {
        f"{name} {run['seed']}": records.network(name, run["seed"])
        for name in records.names()
        for run in records.read(name)["runs"]
        if run["file"] and run["file"].endswith(".sws")
    }
    torch.set_num_threads(1)
    state = lessons.trained().model.state_dict()
    for bits in (4, 2):
        found[f"live, {bits} bits"] = quantise_kmeans(state, 2**bits)
    found["live, 4 bits, 90 %"] = quantise_kmeans(state, 16, prune=0.9)
    return found


def matrices(quantised: Quantised) -> dict[str, np.ndarray]:
    """Signed levels of the weights, in the tensor's shape: what every coder here gets."""
    found = {}
    for name, codes in quantised.codes.items():
        if codes.dim() < 2:
            continue
        found[name] = signed_levels(codes.numpy(), quantised.codebooks[name].numpy())
    return found


def entropy(levels: np.ndarray) -> float:
    """Order-0 entropy in bytes."""
    _, counts = np.unique(levels, return_counts=True)
    return float((counts * -np.log2(counts / counts.sum())).sum() / 8)


def plain(levels: dict[str, np.ndarray]) -> dict[str, float]:
    """Bytes under the plain coders and the general compressors."""
    sums: dict[str, float] = dict.fromkeys(COLUMNS, 0.0)
    for matrix in levels.values():
        flat = matrix.reshape(len(matrix), -1)
        bounds = (min(0, int(flat.min())), max(0, int(flat.max())))
        for name, coder in CODERS.items():
            sums[name] += len(coder.encode(flat, bounds))
        width = np.int8 if bounds[1] - bounds[0] < 128 else np.int32
        text = flat.astype(width).tobytes()
        sums["zlib"] += len(zlib.compress(text, 9))
        sums["xz"] += len(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
        sums["entropy"] += entropy(flat)
    return sums


def ours(quantised: Quantised, names: set[str]) -> tuple[int, float, float]:
    """Bytes of the weights in a file, and the seconds to write and to read it."""
    began = time.perf_counter()
    data = storage.dumps(quantised)
    written = time.perf_counter()
    storage.loads(data)
    read = time.perf_counter()
    entries = (e for e in storage.describe(data).entries if e.name in names)
    return sum(entry.coded for entry in entries), written - began, read - written


def peer(python: str, levels: dict[str, np.ndarray]) -> dict[str, float]:
    """NNCodec's answer for the same levels."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "levels.npz")
        np.savez(file, **levels)
        script = Path(__file__).with_name("nncodec_peer.py")
        ran = subprocess.run([python, script, file], capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("files", nargs="*", type=Path, help="networks to cluster and measure")
    options.add_argument("--bits", type=int, default=4)
    options.add_argument("--prune", type=float, default=0.0)
    options.add_argument("--peer", help="the Python of NNCodec's environment")
    given = options.parse_args()
    print(f"{'network':24}", *(f"{name:>9}" for name in COLUMNS), " seconds", end="")
    print("   NNCodec   ratio   seconds" if given.peer else "")
    ratios = []
    for name, quantised in networks(given.files, 2**given.bits, given.prune).items():
        levels = matrices(quantised)
        ours(quantised, set())  # warms numba up
        sums = plain(levels)
        sums["nnc"], write, read = ours(quantised, set(levels))
        print(f"{name:24}", *(f"{sums[c]:9.0f}" for c in COLUMNS), end="")
        print(f" {write:4.2f}+{read:4.2f}", end="", flush=True)
        if given.peer:
            other = peer(given.peer, levels)
            ratios.append(sums["nnc"] / other["total"])
            seconds = f"{other['encode_seconds']:.2f}+{other['decode_seconds']:.2f}"
            print(f" {other['total']:9.0f} {ratios[-1]:7.3f} {seconds:>11}", end="")
        print(flush=True)
    if ratios:
        print(f"geometric mean of the ratios: {math.exp(np.mean(np.log(ratios))):.3f}")


if __name__ == "__main__":
    main()
