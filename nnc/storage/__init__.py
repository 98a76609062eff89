"""A quantised network on disk: ``dumps`` and ``loads`` for bytes, ``save`` and ``load`` for paths.

The format is ``.sws``, version 2; the page "File format" of the book specifies it byte by byte.
Matrices of codes go through the smallest of three coders (``CODERS``), which share one interface:
``encode(levels, bounds)`` and ``decode(data, shape, bounds)``. The same network always gives the
same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nnc.files import atomic_write
from nnc.pruning.quantised import Quantised
from nnc.storage import coding, container
from nnc.storage.archive import Archive, check_memory, limit_of, path_of
from nnc.storage.c_code import export_c
from nnc.storage.container import CODERS, Entry, File
from nnc.storage.errors import StorageError
from nnc.storage.tensors import Precision

open = Archive

__all__ = ["CODERS", "Archive", "Entry", "File", "Precision", "StorageError"]
__all__ += ["describe", "dumps", "export_c", "load", "loads", "open", "save"]


def dumps(
    quantised: Quantised,
    *,
    precision: Precision = "float32",
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The whole file as bytes.

    Args:
        quantised: codes, codebooks and the rest.
        precision: what float32 numbers (codebooks and the rest) are rounded to; ``"float32"``
            changes nothing.
        metadata: texts to keep with the network; they never affect decoding.

    Raises:
        StorageError: a tensor has a type that the format does not know, or values beyond float16,
            or a name or the metadata are no texts.
    """
    if not isinstance(quantised, Quantised):
        wanted = (
            "a Quantised: what nnc.quantise, SoftWeightSharing.quantise or quantise_kmeans gives"
        )
        raise StorageError(f"quantised is a {type(quantised).__name__}, must be {wanted}")
    return container.write(coding.to_entries(quantised, precision), metadata or {})


def loads(data: bytes, max_bytes: int | None = None) -> Quantised:
    """The network in a file's bytes.

    Args:
        data: the whole file.
        max_bytes: how much memory the dense network may take, coded weights as float32; 1 GiB and
            64 times the file unless given.

    Returns:
        Codes, codebooks and the rest, equal to what was stored, numbers rounded as was asked for.

    Raises:
        StorageError: the file is truncated, damaged, of another format or of a later version, or
            the network would take more memory than allowed. Nothing large is allocated before.
    """
    return coding.to_quantised(describe(data, max_bytes))


def describe(data: bytes, max_bytes: int | None = None) -> File:
    """What a file holds, tensor by tensor with its bytes, undecoded; errors as from ``loads``."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise StorageError(f"data is a {type(data).__name__}, must be bytes; nnc.load takes a path")
    limit = limit_of(max_bytes, len(data))
    file = container.read(data, limit)
    check_memory((entry for entry in file.entries if entry.form != container.TIED), limit)
    return file


def save(
    quantised: Quantised,
    path: Path | str,
    *,
    precision: Precision = "float32",
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write the file: whole under its final name, or not at all; arguments as in ``dumps``."""
    atomic_write(path_of(path), dumps(quantised, precision=precision, metadata=metadata))


def load(path: Path | str, max_bytes: int | None = None) -> Quantised:
    """Read a file; arguments and errors as of ``loads``, these with the path in front."""
    try:
        return loads(path_of(path).read_bytes(), max_bytes)
    except StorageError as error:
        raise StorageError(f"{path}: {error}") from None
