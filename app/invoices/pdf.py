"""The invoice as a PDF: tagged, archivable (PDF/A-3b), the same bytes for the same invoice."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import structlog
import typst
from noto_cjk_sans_otc import FONT_PATH as CJK

from app.invoices.document import InvoiceDocument, as_shown

log = structlog.get_logger(__name__)

_SOURCE = (Path(__file__).parent / "templates" / "invoice.typ").read_bytes()
_PRINTERS = 2


def render_pdf(document: InvoiceDocument) -> bytes:
    """The PDF, archivable and accessible where our fonts know every letter.

    They cover Latin, Greek, Cyrillic, Hebrew, Arabic, Chinese, Japanese and Korean. Other scripts
    are set in the machine's fonts as a plain PDF, because an archivable one must not contain a
    letter that cannot be drawn.
    """
    try:
        return _compile(document, archivable=True)
    except typst.TypstError as error:
        log.info("invoices.pdf_not_archivable", number=document.number, reason=error.message)
        return _compile(document, archivable=False)


def _compile(document: InvoiceDocument, *, archivable: bool) -> bytes:
    printed: bytes = typst.compile(
        _SOURCE,
        sys_inputs={"data": json.dumps(as_shown(document), ensure_ascii=False)},
        font_paths=_fonts(with_machines=not archivable),
        pdf_standards=["a-3b", "ua-1"] if archivable else None,
        # A moment of the invoice, not of the printing: the bytes stay the same.
        timestamp=int((document.issued_at or document.created_at).timestamp()),
    )
    return printed


@lru_cache
def _fonts(*, with_machines: bool) -> typst.Fonts:
    # Kept, because opening twenty megabytes of Chinese for each invoice takes ten times as long
    # as the invoice.
    return typst.Fonts(include_system_fonts=with_machines, font_paths=[str(Path(CJK).parent)])


class Press:
    """Prints PDFs beside the event loop, two at a time. Typesetting releases the interpreter."""

    def __init__(self) -> None:
        self._printers: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        self._printers = ThreadPoolExecutor(_PRINTERS, thread_name_prefix="press")

    async def close(self) -> None:
        if self._printers is not None:
            self._printers.shutdown(wait=False, cancel_futures=True)
            self._printers = None

    async def print(self, document: InvoiceDocument) -> bytes:
        """Raises `RuntimeError` outside `open` and `close`."""
        if self._printers is None:
            raise RuntimeError("the press is closed")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._printers, render_pdf, document)
