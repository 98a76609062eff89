"""Writing files so that a killed process or a full disk leaves the old file, or none."""

from __future__ import annotations

import contextlib
import os
import pickle
import secrets
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

# What torch.load raises for bytes that make no sense, itself and in what it calls.
UNREADABLE = (
    *(RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, struct.error),
    *(LookupError, ValueError, TypeError, AttributeError),
)


def atomic_write(path: Path | str, data: bytes | Iterable[bytes]) -> None:
    """Write the contents ``data``, or pieces of them, under ``path``: all, or nothing at all.

    The bytes go to a temporary name in the same folder, are synced to the disk and then renamed,
    which replaces an older file in one step. Missing folders are made. Where the folder cannot be
    written or the disk is full, an OSError of one line names the path.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            remedy = "free some space or choose a folder that can be written"
            told = f"cannot write {path}: {error.strerror or error}; nothing was changed"
            raise OSError(f"{told}, {remedy}") from None
        raise
