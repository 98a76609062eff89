"""A stored network that is listed at once and decoded tensor by tensor."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from nnc.storage import coding, container
from nnc.storage.container import TIED, Entry
from nnc.storage.errors import StorageError


class Archive(Mapping[str, Tensor]):
    """The tensors of a file by name; each is decoded when it is asked for, and not kept.

    The file is mapped into memory and must stay as it is while the archive is in use. Besides the
    tensors: ``entries``, by name, say shape, type, coder and bytes without decoding; ``metadata``
    are the texts that were kept with the network; ``size`` is that of the file in bytes.

    Args:
        path: a ``.sws`` file.
        max_bytes: how much memory one tensor may take, and the hints that it needs; 1 GiB and 64
            times the file unless given.

    Raises:
        StorageError: the directory is damaged, of another format or version (with the path).
        KeyError: there is no tensor of that name.
    """

    def __init__(self, path: Path | str, max_bytes: int | None = None) -> None:
        self._path = path_of(path)
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, 2)
                self._most = limit_of(max_bytes, size)
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            self._file = container.read(memoryview(data), self._most)
            coding.chains(self._file)  # none is too long
        except StorageError as error:
            raise StorageError(f"{path}: {error}") from None
        self._counts: dict[int, np.ndarray] = {}
        self.entries = {entry.name: entry for entry in self._file.entries}
        self._places = {name: place for place, name in enumerate(self.entries)}
        self.metadata, self.size = self._file.metadata, self._file.size

    def __getitem__(self, name: str) -> Tensor:
        """The dense tensor, in the type and shape that it was stored with."""
        found = self._decoded(name)
        return found if isinstance(found, Tensor) else found[1][found[0].long()]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def quantised(self, name: str) -> tuple[Tensor, Tensor]:
        """The codes of a quantised weight, int32, and its codebook; a ValueError for others."""
        found = self._decoded(name)
        if isinstance(found, Tensor):
            raise ValueError(f"name is {name!r}, which is not quantised; read it as archive[name]")
        return found

    def tied_to(self, name: str) -> str:
        """The name of the tensor that this one is; its own where it is tied to none."""
        entry = self.entries[name]
        return self._file.entries[entry.same_as].name if entry.form == TIED else name

    def _decoded(self, name: str) -> coding.Coded | Tensor:
        chain = [self._places[self.tied_to(name)]]
        while (hint := self._file.entries[chain[0]].hint) and chain[0] - hint not in self._counts:
            chain.insert(0, chain[0] - hint)
        try:
            check_memory((self._file.entries[at] for at in chain), self._most)
            return coding.decoded(self._file, self._counts, chain)[-1]
        except StorageError as error:
            raise StorageError(f"{self._path}: {error}") from None


def check_memory(entries: Iterable[Entry], max_bytes: int) -> None:
    """Refuse tensors that would take more memory than allowed."""
    if (memory := sum(entry.memory for entry in entries)) > max_bytes:
        allowed = f"allowed are max_bytes = {max_bytes}; raise max_bytes if you trust the file"
        raise StorageError(f"the network takes {memory} bytes, {allowed}")


def limit_of(max_bytes: int | None, size: int) -> int:
    """The memory that a file of so many bytes may take: what the caller says, or enough."""
    if max_bytes is None:
        return 2**30 + 64 * size
    if not isinstance(max_bytes, int) or max_bytes < 0:
        raise StorageError(f"max_bytes is {max_bytes!r}, must be a whole number of at least 0")
    return max_bytes


def path_of(path: Path | str) -> Path:
    """A path that was given as a text or as one."""
    if not isinstance(path, str | Path):
        raise StorageError(f"path is {path!r}, must be the name of a file, a text or a Path")
    return Path(path)
