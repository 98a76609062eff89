"""Damage small .sws files and let the C reader read them, built with sanitizers.

    python scripts/fuzz_reader.py [--files N] [--sample N] [--seed N] [--libfuzzer SECONDS]

``tests/library/c/mutate.c`` damages the files, a million of them unless told otherwise, puts their
checksums right and reads each; a read or write out of bounds, a leak or undefined behaviour ends it
with an error. Then a sample of damaged files, those and what ``fuzz_storage`` makes, is read by
Python and by C, which must refuse and find the same. Last, where clang and its libFuzzer are
installed, that looks for inputs which reach more of the reader. The tests use the same functions
for a few seconds (tests/library/test_c_reader.py).
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import fuzz_storage
import torch

from nnc.storage import StorageError, container, describe, loads
from nnc.storage.bits import Reader

ROOT = Path(__file__).parent.parent
SOURCES = ROOT / "tests" / "library" / "c"
INCLUDE = ROOT / "nnc" / "storage"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COMPILER = shutil.which("gcc") or shutil.which("cc")
TYPES = list(container.TYPES)


def built(source: Path, program: Path, *options: str) -> Path:
    """A C program, compiled with warnings as errors."""
    assert COMPILER is not None
    command = [COMPILER, *STRICT, *(options or SANITIZED), f"-I{INCLUDE}", str(source)]
    subprocess.run([*command, "-o", str(program), "-lm"], check=True)
    return program


def in_a_row(files: Iterable[bytes]) -> bytes:
    """Files as the programs read them."""
    return b"".join(len(file).to_bytes(4, "little") + file for file in files)


def apart(data: bytes) -> Iterator[bytes]:
    """The files of ``in_a_row``."""
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        yield data[4:end]
        data = data[end:]


def said(program: Path, files: Iterable[bytes], most: int = 1 << 30) -> list[list[str]]:
    """What the C reader found in each file: a line for each tensor, and last ``= error``."""
    command = [program, str(most)]
    done = subprocess.run(command, input=in_a_row(files), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[list[str]] = [[]]
    for line in done.stdout.decode().splitlines():
        found[-1].append(line)
        found += [[]] if line.startswith("=") else []
    return found[:-1]


def expected(data: bytes, most: int = 1 << 30) -> list[str] | str:
    """The lines of a file's tensors as Python reads it, or why it is refused."""
    try:
        file, found = describe(data, most), loads(data, most)
    except StorageError as error:
        return str(error)
    dense, places = found.state_dict(), {e.name: at for at, e in enumerate(file.entries)}
    lines = []
    for entry in file.entries:
        owner = found.ties.get(entry.name, entry.name)
        parts = [entry.name.encode().hex(), str(places[owner]), str(TYPES.index(entry.kind))]
        floats = dense[owner].float()
        parts += [_sum(floats.where(~floats.isnan(), torch.nan)), _sum(dense[owner])]
        coded = owner in found.codes
        parts += [_sum(t[owner]) if coded else "-" for t in (found.codes, found.codebooks)]
        lines.append(" ".join([*parts, *map(str, entry.shape)]))
    return lines


def _sum(tensor: torch.Tensor) -> str:
    if not tensor.numel():
        return f"{0:08x}"
    return f"{zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()):08x}"


def differs(data: bytes, lines: list[str], most: int) -> str:
    """In what C and Python differ about a file; nothing where they agree."""
    wanted = expected(data, most)
    if isinstance(wanted, str):
        # Only Python looks at the metadata.
        fine = not lines[-1].startswith("= 0") or "metadata" in wanted
        return "" if fine else f"C reads what Python refuses: {wanted}"
    if not lines[-1].startswith("= 0"):
        return f"C refuses what Python reads: {lines[-1]}"
    return "" if lines[:-1] == wanted else f"C reads {lines[:-1]}, Python {wanted}"


def bases() -> list[bytes]:
    """Small files of each kind: those of ``fuzz_storage``, and the test vectors."""
    vectors = sorted((ROOT / "tests" / "vectors").glob("*.sws"))
    return fuzz_storage.bases() + [path.read_bytes() for path in vectors]


def mutated(program: Path, seed: int, files: int, kept: Path | None = None) -> str:
    """Run ``mutate.c``; what it printed."""
    command = [program, str(seed), str(files), str(fuzz_storage.MAX_BYTES)]
    command += [str(kept)] if kept else []
    done = subprocess.run(command, input=in_a_row(bases()), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def compared(reader: Path, files: list[bytes]) -> list[str]:
    """What C and Python say differently about files."""
    most = fuzz_storage.MAX_BYTES
    lines = said(reader, files, most)
    pairs = zip(files, lines, strict=True)
    return [f"{why}: {file.hex()}" for file, found in pairs if (why := differs(file, found, most))]


def searched(folder: Path, seconds: int) -> int:
    """Let libFuzzer search; its exit status."""
    flags = ["-std=c99", "-Wno-unused-function", "-DLIBFUZZER", *SANITIZED, "-fsanitize=fuzzer"]
    target, seeds = folder / "fuzzer", folder / "seeds"
    source = str(SOURCES / "mutate.c")
    subprocess.run(["clang", *flags, f"-I{INCLUDE}", source, "-o", target], check=True)
    seeds.mkdir()
    for number, file in enumerate(bases()):
        reader = Reader(file[4:], "it")
        listed, bodies = bytes(reader.take(reader.varint())), bytes(reader.rest()[4:])
        (seeds / str(number)).write_bytes(len(listed).to_bytes(2, "little") + listed + bodies)
    options = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=4096", "-print_final_stats=1"]
    return subprocess.run([target, *options, seeds], check=False, cwd=folder).returncode


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000, help="read by C (1,000,000)")
    parser.add_argument("--sample", type=int, default=20_000, help="read by both (20,000)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (0 unless given)")
    parser.add_argument("--libfuzzer", type=int, default=0, help="seconds of it (0)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mutate = built(SOURCES / "mutate.c", folder / "mutate")
        reader = built(SOURCES / "read_all.c", folder / "read_all")
        print(mutated(mutate, options.seed, options.files), end="")
        mutated(mutate, options.seed + 1, options.sample // 2, folder / "kept")
        files = list(apart((folder / "kept").read_bytes()))
        stream = random.Random(options.seed)
        mutators = [fuzz_storage.Mutator(f, stream) for f in bases() if describe(f).entries]
        files += [stream.choice(mutators)() for _ in range(options.sample // 2)]
        wrong = compared(reader, files)
        failed = options.libfuzzer and searched(folder, options.libfuzzer)
    print(f"{len(files)} read by C and by Python, {len(wrong)} differ")
    print("\n".join(wrong[:10]), end="\n" if wrong else "")
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
