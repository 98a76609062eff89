"""A stored network on paper: its file as a QR code, which any reader gives back byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segno import QRCode

MOST_BYTES = 2953  # ISO/IEC 18004: version 40, error correction L, bytes as they are


def qr_code(data: bytes) -> QRCode:
    """The code that holds a file, of the smallest version that does, error correction L.

    Raises:
        ValueError: there are more than 2,953 bytes.
        ModuleNotFoundError: segno, the extra ``qr``, is not installed.
    """
    try:
        import segno
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "QR codes need the package segno; pip install 'nnc-book[qr]'", name="segno"
        ) from None
    if (more := len(data) - MOST_BYTES) > 0:
        told = (
            f"the file has {len(data):,} bytes, {more:,} more than the {MOST_BYTES:,} of a QR code"
        )
        remedy = "prune more, share fewer values, sort its units, or store it as float16"
        raise ValueError(f"{told}; {remedy}")
    return segno.make_qr(data, error="l", mode="byte", boost_error=False)
