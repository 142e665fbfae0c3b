"""Documents as PDFs: tagged, archivable (PDF/A-3b), the same bytes for the same document."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import manimgx_fonts
import structlog
import typst
from noto_cjk_sans_otc import FONT_PATH as CJK

from app.invoices.document import InvoiceDocument, as_shown
from app.invoices.einvoice import FILE_NAME, as_issued, factur_x
from app.invoices.errors import EInvoiceUnfit
from app.invoices.look import BadLook, Look
from app.invoices.xmp import say_factur_x

log = structlog.get_logger(__name__)

_TEMPLATES = Path(__file__).parent / "templates"
_FONTS = [str(Path(CJK).parent), str(Path(manimgx_fonts.__path__[0]))]
_PRINTERS = 2
_NICENESS = 10

PLAIN = Look()

_ATTACHED = f"""#pdf.attach(
  "{FILE_NAME}",
  relationship: "alternative",
  mime-type: "text/xml",
  description: "Factur-X/ZUGFeRD invoice data",
)
""".encode()


class NotArchivable(Exception):
    """It has a letter that none of our fonts can draw."""


def print_pdf(
    template: str,
    data: Mapping[str, object],
    timestamp: datetime,
    look: Look = PLAIN,
    einvoice: bytes | None = None,
) -> bytes:
    """The PDF of a template in templates/, which finds *data* as `d` of common.typ.

    Archivable and accessible where our fonts know every letter, as they do of some thirty
    scripts. Others are set in the machine's fonts as a plain PDF, because an archivable one must
    not contain a letter that cannot be drawn. *timestamp* is a moment of the document, not of the
    printing: the bytes stay the same. *einvoice* is attached as Factur-X wants it; what carries
    it must be archivable, and `NotArchivable` is raised where it cannot be.
    """
    files = {
        "main.typ": _source(template),
        "common.typ": _source("common.typ"),
        "data.json": json.dumps(data, ensure_ascii=False).encode(),
        **_worn(look),
    }
    if einvoice is not None:
        files["main.typ"] = _ATTACHED + files["main.typ"]
        files[FILE_NAME] = einvoice
    try:
        printed = _compile(files, timestamp, archivable=True)
        return say_factur_x(printed) if einvoice is not None else printed
    except typst.TypstError as error:
        if einvoice is not None:
            raise NotArchivable(error.message) from error
        log.info("invoices.pdf_not_archivable", title=data["title"], reason=error.message)
        return _compile(files, timestamp, archivable=False)


def proof(look: Look) -> None:
    """Raises `BadLook` where the logo cannot be drawn."""
    if look.logo is None:
        return
    files = {
        "main.typ": f'#image(bytes(json("logo.json")), format: "{look.logo.kind}")'.encode(),
        "logo.json": json.dumps(list(look.logo.content)).encode(),
    }
    try:
        _compile(files, datetime.fromtimestamp(0, UTC), archivable=False)
    except typst.TypstError as error:
        raise BadLook(f"ARAGORA_DOCUMENT_LOGO cannot be drawn: {error.message}") from None


def render_pdf(document: InvoiceDocument, look: Look = PLAIN) -> bytes:
    """The PDF of an invoice."""
    return print_pdf("invoice.typ", as_shown(document), moment_of(document), look)


def moment_of(document: InvoiceDocument) -> datetime:
    return document.issued_at or document.created_at


def _worn(look: Look) -> dict[str, bytes]:
    files = {"look.json": json.dumps({"color": look.color, "logo": look.logo is not None}).encode()}
    if look.logo is not None:
        # The compiler takes no file that is not text; a drawing may hold a picture as text.
        files["logo.svg"] = (
            '<svg xmlns="http://www.w3.org/2000/svg" width="700" height="160">'
            '<image width="700" height="160" preserveAspectRatio="xMinYMid meet" '
            f'href="{look.logo.inline}"/></svg>'
        ).encode()
    return files


def _compile(files: dict[str, bytes], timestamp: datetime, *, archivable: bool) -> bytes:
    # The library takes files by name; its stubs do not know.
    printed: bytes = typst.compile(  # type: ignore[call-overload]
        files,
        font_paths=_fonts(with_machines=not archivable),
        pdf_standards=["a-3b", "ua-1"] if archivable else None,
        timestamp=int(timestamp.timestamp()),
    )
    return printed


@lru_cache
def _source(template: str) -> bytes:
    return (_TEMPLATES / template).read_bytes()


@lru_cache
def _fonts(*, with_machines: bool) -> typst.Fonts:
    # Kept, because opening twenty megabytes of Chinese for each invoice takes ten times as long
    # as the invoice.
    return typst.Fonts(include_system_fonts=with_machines, font_paths=_FONTS)


class Press:
    """Prints PDFs beside the event loop, two at a time. Typesetting releases the interpreter, and
    its threads let the loop's go first."""

    def __init__(self, look: Look = PLAIN) -> None:
        self._look = look
        self._printers: ThreadPoolExecutor | None = None

    async def open(self) -> None:
        self._printers = ThreadPoolExecutor(
            _PRINTERS, thread_name_prefix="press", initializer=_give_way
        )

    async def close(self) -> None:
        if self._printers is not None:
            self._printers.shutdown(wait=False, cancel_futures=True)
            self._printers = None

    async def print(self, template: str, data: Mapping[str, object], timestamp: datetime) -> bytes:
        """As `print_pdf`. Raises `RuntimeError` outside `open` and `close`."""
        return await self._beside(print_pdf, template, data, timestamp, self._look)

    async def invoice(self, document: InvoiceDocument) -> bytes:
        """The PDF of an invoice."""
        return await self._beside(render_pdf, document, self._look)

    async def einvoice(self, document: InvoiceDocument) -> bytes:
        """The PDF of an invoice as it was issued, with its XML in it.

        Raises what `factur_x` raises, and `EInvoiceUnfit` for letters that nothing can archive.
        """
        return await self._beside(_einvoice, document, self._look)

    async def _beside(self, work: Callable[..., bytes], *given: object) -> bytes:
        if self._printers is None:
            raise RuntimeError("the press is closed")
        return await asyncio.get_running_loop().run_in_executor(self._printers, work, *given)


def _give_way() -> None:
    """Put this thread, and those that the compiler starts from it, behind the event loop's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _einvoice(document: InvoiceDocument, look: Look) -> bytes:
    xml = factur_x(document)
    shown = as_shown(as_issued(document))
    try:
        return print_pdf("invoice.typ", shown, moment_of(document), look, xml)
    except NotArchivable:
        raise EInvoiceUnfit(why="it has letters that an archivable PDF cannot show") from None
