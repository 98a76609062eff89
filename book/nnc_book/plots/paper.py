"""A QR code in a page."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnc_book.plots.page import Badge, caption

if TYPE_CHECKING:
    from segno import QRCode


@dataclass(frozen=True)
class Code:
    """A QR code with its caption; its modules stay sharp at any size, dark on light in any theme.

    Args:
        code: what ``nnc.storage.qr.qr_code`` gives.
        caption: what it holds, whose result.
        badge: live, recorded or drawn.
        alt: what can be seen, in a sentence or two.
    """

    code: QRCode
    caption: str
    badge: Badge
    alt: str

    def _repr_html_(self) -> str:
        picture = io.BytesIO()
        self.code.save(picture, kind="png", scale=4)
        side = self.code.symbol_size(scale=4)[0]
        return (
            f'<figure class="nnc-shown"><img alt="{html.escape(self.alt)}" width="{side}" '
            f'height="{side}" style="width:100%;max-width:{side}px;height:auto;'
            'image-rendering:pixelated" src="data:image/png;base64,'
            f'{base64.b64encode(picture.getvalue()).decode()}">'
            f"{caption(self.caption, self.badge)}</figure>"
        )
