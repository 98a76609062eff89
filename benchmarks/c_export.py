"""How large stored networks are as C, and how fast: ``python benchmarks/c_export.py``.

For each record: bytes of the compressed network, of the machine code with ``-Os``, of memory (the
caller's and the deepest stack of a function), and milliseconds for an answer, beside the largest
difference of a logit from Python's. With ``arm-none-eabi-gcc`` also for a Cortex-M4.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

import nnc
from nnc_book import records

ROOT = Path(__file__).parent.parent
NETWORKS: dict[str, type[nn.Module]] = {
    "lenet300-sws": nnc.LeNet300100,
    "lenet300-kd-sws-8k": nnc.LeNet300100,
    "lenet5-sws": nnc.LeNet5Caffe,
    "lenet5-kd-sws": nnc.LeNet5Caffe,
}
TARGETS = {
    "this machine": ["gcc"],
    "Cortex-M4": ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16"],
}


def sizes(folder: Path, command: list[str]) -> tuple[int, int]:
    """Bytes of code and constants, and of the deepest stack of a function."""
    flags = ["-std=c99", "-Os", "-fstack-usage", "-c", "net.c", "-o", "net.o"]
    flags += ["-mfloat-abi=hard"] if "arm" in command[0] else []
    subprocess.run([*command, *flags], cwd=folder, check=True)
    size = command[0].replace("gcc", "size")
    told = subprocess.run([size, "net.o"], cwd=folder, check=True, capture_output=True, text=True)
    text, data, _ = map(int, told.stdout.splitlines()[1].split()[:3])
    stacks = (line.split("\t")[1] for line in (folder / "net.su").read_text().splitlines())
    return text + data, max(map(int, stacks))


def answered(folder: Path, images: torch.Tensor) -> tuple[torch.Tensor, float, int]:
    """Logits, milliseconds for each image, and bytes of memory."""
    source = ROOT / "tests" / "library" / "c" / "predict.c"
    command = ["gcc", "-std=c99", "-O2", f"-I{folder}", str(source), "-o", str(folder / "predict")]
    subprocess.run(command, check=True)
    start = time.perf_counter()
    given = images.numpy().tobytes()
    done = subprocess.run([folder / "predict"], input=given, check=True, capture_output=True)
    took = time.perf_counter() - start
    logits = torch.from_numpy(np.frombuffer(done.stdout, np.float32).copy())
    return logits.reshape(len(images), -1), 1000 * took / len(images), int(done.stderr)


def main() -> int:
    if shutil.which("gcc") is None:
        print("there is no gcc")
        return 2
    digits = nnc.data.load("mnist-5k").test
    images = nnc.data.as_input(digits.images[:200])
    print(f"{'record':20} {'for':14} {'network':>8} {'code':>7} {'stack':>6}")
    for record, kind in NETWORKS.items():
        small = nnc.load(records.FOLDER / record / "seed-0.sws")
        model = small.load_into(kind()).eval()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            nnc.storage.export_c(small, kind(), folder)
            (line,) = (x for x in (folder / "net.c").read_text().splitlines() if "bytes[" in x)
            network = int(line.partition("[")[2].partition("]")[0])
            for target, command in TARGETS.items():
                if shutil.which(command[0]):
                    code, stack = sizes(folder, command)
                    print(f"{record:20} {target:14} {network:8} {code - network:7} {stack:6}")
            logits, took, memory = answered(folder, images)
        with torch.no_grad():
            expected = model(images)
        most = float((logits - expected).abs().max())
        agree = int((logits.argmax(1) == expected.argmax(1)).sum())
        print(
            f"{'':20} {took:.1f} ms an answer in {memory} bytes, logits within {most:.1e}, "
            f"{agree} of {len(images)} answers the same"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
