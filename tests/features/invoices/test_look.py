"""A seller's colour and logo: on every rendering, and refused at the start where they cannot be."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import pypdfium2
import pytest
from pypdfium2 import raw

from app.invoices.document import as_shown
from app.invoices.html import Pages
from app.invoices.look import MAXIMUM_LOGO_BYTES, BadLook, Look, look_of
from app.invoices.pdf import PLAIN, print_pdf, proof
from tests.factories.invoices import NOVEMBER, a_document

SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="20">'
    b'<rect width="80" height="20" fill="#0a5"/></svg>'
)


def a_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    pixels = zlib.compress(b"".join(b"\x00" + b"\x00\xaa\x55" * 8 for _ in range(4)))
    header = struct.pack(">IIBBBBB", 8, 4, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def printed(look: Look) -> bytes:
    return print_pdf("invoice.typ", as_shown(a_document()), NOVEMBER.start, look)


def kinds_on(pdf: bytes) -> list[int]:
    document = pypdfium2.PdfDocument(pdf)
    try:
        page = document[0]
        kinds = [thing.type for thing in page.get_objects()]
        page.close()
    finally:
        document.close()
    return kinds


@pytest.mark.parametrize(
    ("name", "content"), [("logo.png", a_png()), ("logo.svg", SVG)], ids=["png", "svg"]
)
def test_a_logo_is_on_both_and_the_pdf_stays_archivable(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    look = look_of("#0A5A35", tmp_path / name)
    proof(look)
    pdf, plain = printed(look), printed(PLAIN)
    assert b"pdfaid" in pdf
    drawn = {raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_FORM, raw.FPDF_PAGEOBJ_PATH}
    assert sum(kind in drawn for kind in kinds_on(pdf)) > sum(
        kind in drawn for kind in kinds_on(plain)
    )
    pages = Pages(look)
    page = pages.invoice(a_document())
    assert base64.b64encode(content).decode() in page
    assert 'alt="Aragora"' in page
    assert "img-src data:;" in pages.content_policy
    assert "--accent: #0a5a35;" in page


def test_without_a_logo_no_picture_is_let_in() -> None:
    assert "img-src" not in Pages().content_policy
    assert "<img" not in Pages().invoice(a_document())
    assert Pages().content_policy != Pages(Look("#0a5a35")).content_policy


@pytest.mark.parametrize("color", ["red", "#12345", "#1234567", "#ffff00", "#999999", ""])
def test_a_colour_that_is_none_or_too_light_is_refused(color: str) -> None:
    with pytest.raises(BadLook, match="ARAGORA_DOCUMENT_COLOR"):
        look_of(color, None)


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"<html></html>", b"\x89PNG\r\n\x1a\n" + b"0" * MAXIMUM_LOGO_BYTES],
)
def test_a_file_that_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "logo").write_bytes(content)
    with pytest.raises(BadLook, match="ARAGORA_DOCUMENT_LOGO"):
        look_of("#000000", tmp_path / "logo")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadLook, match="No such file"):
        look_of("#000000", tmp_path / "logo.png")


@pytest.mark.parametrize(
    "content", [a_png()[:40], b"\xff\xd8\xff", b"<svg <"], ids=["png", "jpeg", "svg"]
)
def test_a_broken_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "logo").write_bytes(content)
    with pytest.raises(BadLook, match="cannot be drawn"):
        proof(look_of("#000000", tmp_path / "logo"))
