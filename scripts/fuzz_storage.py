"""Damage small .sws files in every way there is and read them: errors may only be StorageError.

    python scripts/fuzz_storage.py --minutes 10 [--seed N]

Checksums are put right after the damage, so that what lies behind them is reached. Half of the
files have bytes of the directory changed, moved, put in or taken out; in the others a tensor's head
says something else than its body, or its body is damaged in the same way. Prints a line of
progress, then a summary; a file that makes ``loads`` raise anything else is printed as hex, and the
exit status is 1. The tests use the same functions for a few seconds (tests/test_storage.py).
"""

from __future__ import annotations

import argparse
import random
import resource
import struct
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

import nnc
from nnc.storage import CODERS, Entry, File, StorageError, container, describe, dumps, loads
from nnc.storage.bits import Reader, varint

MAX_BYTES = 1 << 14  # of a network that may be read: 4,096 weights
NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 65_535, 65_536, 65_537, 2**20, 2**32, 2**62, 2**63 - 1)
BYTES = (0, 1, 2, 16, 64, 127, 128, 254, 255)
KINDS = tuple(container.TYPES)
FORMS = (container.AS_IS, *CODERS)


def sealed(listed: bytes, bodies: bytes = b"") -> bytes:
    """A file of a directory and what follows it, with the checksum that fits the directory."""
    data = container.MAGIC + bytes([container.VERSION]) + varint(len(listed)) + listed
    return data + struct.pack("<I", zlib.crc32(data)) + bodies


def bases() -> list[bytes]:
    """Files of a few dozen bytes that together use every coder and most types of numbers."""
    files = [_forced(name, coder) for name, coder in CODERS.items()]
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, 4, (4, 8), generator=generator, dtype=torch.int32)
    even = torch.tensor([0.0, -0.5, 0.25, 1.5])
    rest = {
        "层.bias": torch.tensor([0.5, -0.0, float("nan")]),
        "n": torch.tensor(1170),
        "层.mean": torch.full((60,), 0.25),
        "b": torch.tensor([True, False]),
        "h": torch.zeros(2, 0, dtype=torch.bfloat16),
    }
    small = nnc.Quantised({"层": codes}, {"层": even}, rest)
    files.append(dumps(small, precision="float16", metadata={"a": "b"}))
    # Three layers of which each reads the one before, so that counts are passed on.
    sparse = codes * (codes > 2)
    chain = {"a": sparse, "a.k": sparse.reshape(4, 2, 2, 2), "c": sparse.T.contiguous()}
    files.append(dumps(nnc.Quantised(chain, dict.fromkeys(chain, even), {})))
    # Two tied names, and weights of other types.
    books = {"a": even.bfloat16(), "a.k": even.half(), "c": even.double()}
    files.append(dumps(nnc.Quantised(chain, books, rest, {"a2": "a", "n2": "n"})))
    return files


def _forced(name: str, coder: object) -> bytes:
    """A matrix of 3 × 40 with a few non-zeros in the named coder, be it the smallest or not."""
    codes = torch.zeros(3, 40, dtype=torch.int32)
    codes.view(-1)[[1, 2, 17, 45, 80, 81, 119]] = torch.tensor([1, 2, 1, 2, 2, 1, 2]).int()
    file = describe(dumps(nnc.Quantised({"w": codes}, {"w": torch.tensor([0, 1.0, 2.5])}, {})))
    levels = CODERS[name].encode(codes.numpy(), (0, 2))
    return container.write([replace(file.entries[0], form=name, pieces=(levels,))], {})


@dataclass
class Mutator:
    """Makes files out of ``file`` that say something else, with a checksum that fits."""

    file: bytes
    stream: random.Random

    def __post_init__(self) -> None:
        self._parts: File = describe(self.file)

    def __call__(self) -> bytes:
        """One more."""
        steps = self.stream.choice((1, 1, 1, 2, 4))
        if self.stream.random() < 0.5:
            reader = Reader(self.file[4:], "it")
            listed = bytearray(reader.take(reader.varint()))
            for _ in range(steps):
                self._damage(listed, 0, len(listed))
            return sealed(bytes(listed), self.file[4 + reader.position + 4 :])
        entries = list(self._parts.entries)
        for _ in range(steps):
            self._lie(entries)
        return self._written(entries)

    def _written(self, entries: list[Entry]) -> bytes:
        """The file of these entries; as it was where they are more than a file can say."""
        try:
            return container.write(entries, self._parts.metadata)
        except StorageError:
            return self.file

    def _damage(self, body: bytearray, start: int, head: int) -> None:
        """Change bytes from ``start`` on, half of the time before ``head``."""
        pick, end = self.stream.randrange, head if self.stream.random() < 0.5 else len(body)
        at, other = pick(start, max(start + 1, end)), pick(start, max(start + 1, end))
        some = slice(at, at + pick(1, 9))
        changes: list[Callable[[], None]] = [
            lambda: body.__setitem__(at, body[at] ^ 1 << pick(8)),
            lambda: body.__setitem__(at, self.stream.choice(BYTES)),
            lambda: body.__setitem__(at, body[at] + self.stream.choice((1, -1)) & 255),
            lambda: body.__setitem__(slice(at, at), self.stream.randbytes(pick(1, 9))),
            lambda: body.__setitem__(slice(at, at), varint(self.stream.choice(NUMBERS))),
            lambda: body.__setitem__(slice(at, at), b"\xff" * pick(1, 10) + b"\1"),
            lambda: body.__setitem__(slice(other, other), body[some]),
            lambda: body.__delitem__(some),
            lambda: body.__setitem__(slice(at, None), b""),
        ]
        if at >= len(body) or other >= len(body):
            body += self.stream.randbytes(1)
        elif pick(10) == 0:
            body[at], body[other] = body[other], body[at]
        else:
            self.stream.choice(changes)()

    def _lie(self, entries: list[Entry]) -> None:
        """Let one entry say something else, or two change places."""
        pick = self.stream.choice
        at, other = (self.stream.randrange(len(entries)) for _ in range(2))
        entry, number = entries[at], pick(NUMBERS)
        shape, side = list(entry.shape), self.stream.randrange(len(entry.shape) + 1)
        shape[side : side + self.stream.randrange(2)] = [number]
        pieces = entry.pieces or (b"",)
        changes = (
            {"form": pick(FORMS)},
            {"form": pick(FORMS), "rest": not entry.rest},
            {"form": container.TIED, "same_as": number, "numbers": b"", "pieces": ()},
            {"same_as": self.stream.randrange(len(entries))},
            {"kind": pick(KINDS)},
            {"stored": pick(KINDS)},
            {"book": number},
            {"hint": pick((0, 1, 2, number))},
            {"shape": tuple(shape)},
            {"shape": entry.shape[::-1]},
            {"shape": pick(entries).shape},
            {"pieces": (*pieces[:-1], self._damaged(pieces[-1]))},
            {"pieces": (*pieces[:-1], self._damaged(pieces[-1]))},
            {"pieces": (self._damaged(pieces[0]), *pieces[1:])},
            {"pieces": pick(entries).pieces},
            {"pieces": pieces + pieces},
            {"numbers": self._damaged(entry.numbers)},
            {"name": pick(entries).name},
        )
        change = self.stream.randrange(len(changes) + 3)
        if change < len(changes):
            entries[at] = replace(entry, **changes[change])
        elif change == len(changes):
            entries[at], entries[other] = entries[other], entries[at]
        elif change == len(changes) + 1:
            entries.insert(other, replace(entry, name=f"{entry.name}{self.stream.random()}"))
        elif len(entries) > 1:
            del entries[at]

    def _damaged(self, data: bytes | memoryview) -> bytes:
        body = bytearray(data)
        self._damage(body, 0, len(body))
        return bytes(body)


def tried(data: bytes, max_bytes: int = MAX_BYTES) -> str:
    """ "decoded", "refused", or what else happened."""
    try:
        loads(data, max_bytes)
    except StorageError:
        return "refused"
    except Exception as error:  # this is what the script looks for
        return f"{type(error).__name__}: {error}"
    return "decoded"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10 unless given)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (0 unless given)")
    options = parser.parse_args(arguments)
    stream = random.Random(options.seed)
    mutators = [Mutator(file, stream) for file in bases()]
    for mutator in mutators:
        assert tried(mutator.file) == "decoded"
    before, start, shown = _peak(), time.monotonic(), 0.0
    counts = {"decoded": 0, "refused": 0, "failed": 0}
    slowest = (0.0, b"")
    while (now := time.monotonic() - start) < 60 * options.minutes:
        data = stream.choice(mutators)()
        began = time.process_time()
        found = tried(data)
        slowest = max(slowest, (time.process_time() - began, data))
        if found not in counts:
            print(f"\n{found}\n{data.hex()}")
            found = "failed"
        counts[found] += 1
        if now - shown > 1:
            shown = now
            print(f"\r{now:.0f} s, {sum(counts.values()):,} files", end="", flush=True)
    print(
        f"\r{sum(counts.values()):,} files: {counts['refused']:,} refused with StorageError, "
        f"{counts['decoded']:,} decoded, {counts['failed']:,} failed otherwise\n"
        f"slowest: {slowest[0]:.3f} s of processor time, {slowest[1].hex()}\n"
        f"peak memory: {before >> 20} MB before, {_peak() >> 20} MB after"
    )
    return 1 if counts["failed"] else 0


def _peak() -> int:
    """The most memory that this process has had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    sys.exit(main())
