"""A quantised network on disk: ``dumps`` and ``loads`` for bytes, ``save`` and ``load`` for paths.

The file is a safetensors container of compressed sparse rows. Each coded tensor ``NAME`` of shape
``(rows, ...)`` is seen as a matrix with ``rows`` rows and gives four entries: ``NAME:pointers``,
``NAME:columns``, ``NAME:values`` (see ``nnc.storage.csr``) and ``NAME:codebook`` (float32); every
other tensor is stored under its own name as it is. The header's metadata holds ``format``,
``version``, ``shapes`` (JSON, name → shape) and ``crc32``, a checksum over ``shapes`` and all
entries. Networks of the same values give the same bytes.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as _load_container
from safetensors.torch import save as _save_container
from torch import Tensor

from nnc.files import atomic_write
from nnc.quantised import Quantised
from nnc.storage import csr
from nnc.storage.errors import StorageError

__all__ = ["StorageError", "dumps", "load", "loads", "save"]

_FORMAT, _VERSION = "nnc-csr", "1"
_PARTS = ("pointers", "columns", "values", "codebook")


def dumps(quantised: Quantised) -> bytes:
    """The whole file as bytes.

    Args:
        quantised: codes, codebooks and the rest; nothing of it is rounded.

    Raises:
        StorageError: a name contains a colon.
    """
    entries: dict[str, Tensor] = {}
    for name, codes in quantised.codes.items():
        rows = csr.encode(codes.reshape(_matrix(tuple(codes.shape))))
        book = quantised.codebooks[name]
        for part, tensor in zip(_PARTS, (*rows, book), strict=True):
            entries[f"{name}:{part}"] = _own(tensor)
    for name, tensor in quantised.rest.items():
        entries[name] = _own(tensor)
    for name in (*quantised.codes, *quantised.rest):
        if ":" in name:
            raise StorageError(f"the name {name!r} contains ':', which the format uses itself")
    shapes = {name: list(codes.shape) for name, codes in quantised.codes.items()}
    text = json.dumps(shapes, separators=(",", ":"))
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "shapes": text,
        "crc32": f"{_checksum(text, entries):08x}",
    }
    return _with_sorted_metadata(_save_container(entries, metadata))


def loads(data: bytes, max_bytes: int = 2**30) -> Quantised:
    """The network in a file's bytes.

    Args:
        data: the whole file.
        max_bytes: how much memory the dense network may take, as float32 weights.

    Returns:
        Codes, codebooks and the rest, equal to what was stored.

    Raises:
        StorageError: the file is truncated, damaged, of another format or version, or the network
            would take more memory than allowed. Nothing large is allocated before that.
    """
    try:
        metadata = _read_metadata(data)
        shapes = _read_shapes(metadata, max_bytes)
        entries = _load_container(data)
        if f"{_checksum(metadata['shapes'], entries):08x}" != metadata.get("crc32"):
            raise StorageError("the checksum does not fit the contents; the file is damaged")
        return _assemble(shapes, entries)
    except StorageError:
        raise
    except (
        SafetensorError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        RuntimeError,
        RecursionError,
    ) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise StorageError(f"the file is damaged ({reason})") from None


def save(quantised: Quantised, path: Path | str) -> None:
    """Write the file: whole under its final name, or not at all."""
    atomic_write(path, dumps(quantised))


def load(path: Path | str, max_bytes: int = 2**30) -> Quantised:
    """Read a file.

    Raises:
        StorageError: as ``loads``, naming the path.
    """
    try:
        return loads(Path(path).read_bytes(), max_bytes)
    except StorageError as error:
        raise StorageError(f"{path}: {error}") from None


def _own(tensor: Tensor) -> Tensor:
    """A copy in main memory: the container refuses tensors that share theirs."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _checksum(shapes: str, entries: Mapping[str, Tensor]) -> int:
    """CRC-32 over the declared shapes, then names, types, shapes and contents by ascending name."""
    crc = zlib.crc32(shapes.encode())
    for name in sorted(entries):
        tensor = entries[name].contiguous()
        crc = zlib.crc32(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode(), crc)
        crc = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().tobytes(), crc)
    return crc


def _with_sorted_metadata(data: bytes) -> bytes:
    """The container's library writes metadata in an order that varies; fix the order."""
    size = struct.unpack_from("<Q", data)[0]
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


def _read_metadata(data: bytes) -> dict[str, str]:
    if len(data) < 8:
        raise StorageError(f"the file has {len(data)} bytes, needs at least 8; it is truncated")
    size = struct.unpack_from("<Q", data)[0]
    if size > len(data) - 8:
        raise StorageError(
            "the header is longer than the file; the file is truncated or no network"
        )
    header = json.loads(data[8 : 8 + size])
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    if metadata.get("format") != _FORMAT:
        raise StorageError(f"format is {metadata.get('format')!r}, must be {_FORMAT!r}")
    if metadata.get("version") != _VERSION:
        raise StorageError(
            f"version is {metadata.get('version')!r}, this release reads {_VERSION!r}; "
            "install a newer nnc-book"
        )
    return metadata


def _read_shapes(metadata: Mapping[str, str], max_bytes: int) -> dict[str, tuple[int, ...]]:
    shapes = json.loads(metadata["shapes"])
    if not isinstance(shapes, dict) or not all(
        isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
        for shape in shapes.values()
    ):
        raise StorageError("shapes must map names to lists of sizes; the file is damaged")
    dense = sum(4 * math.prod(shape) for shape in shapes.values())
    if dense > max_bytes:
        raise StorageError(
            f"the network takes {dense} bytes, allowed are max_bytes = {max_bytes}; "
            "raise max_bytes if you trust the file"
        )
    return {name: tuple(shape) for name, shape in shapes.items()}


def _assemble(shapes: dict[str, tuple[int, ...]], entries: dict[str, Tensor]) -> Quantised:
    codes, codebooks = {}, {}
    for name, shape in shapes.items():
        pointers, columns, values, book = (entries.pop(f"{name}:{part}") for part in _PARTS)
        rows, width = _matrix(shape)
        codes[name] = csr.decode(pointers, columns, values, rows, width).reshape(shape)
        codebooks[name] = book
    return Quantised(codes, codebooks, entries)


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the matrix that a tensor of this shape is stored as."""
    return (shape[0] if shape else 1), math.prod(shape[1:])
