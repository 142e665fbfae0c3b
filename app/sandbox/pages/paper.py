"""An invoice as the plainest PDF there is: one page of Courier."""

from datetime import UTC, datetime

from app.sandbox.billing import amounts
from app.sandbox.core.params import Doc

_MOST_LINES = 40


def pdf(invoice: Doc) -> bytes:
    """A one-page PDF with the invoice's lines and total."""
    currency = invoice["currency"]
    finalized = invoice["status_transitions"]["finalized_at"] or invoice["created"]
    rows = [
        f"Invoice {invoice['number']}",
        f"{datetime.fromtimestamp(finalized, UTC):%Y-%m-%d}   {invoice['status']}",
        f"{invoice['customer_name'] or ''} {invoice['customer_email'] or ''}",
        "",
    ]
    rows += [
        f"{amounts.shown(line['amount'], currency):>14}   {line['description']}"
        for line in invoice["lines"]["data"][:_MOST_LINES]
    ]
    rows += [
        f"{amounts.shown(-discount['amount'], currency):>14}   Discount"
        for discount in invoice["total_discount_amounts"]
    ]
    rows += ["", f"{amounts.shown(invoice['amount_remaining'], currency):>14}   Amount due"]
    text = "".join(f"({_escaped(row)}) Tj T*\n" for row in rows)
    content = f"BT /F1 11 Tf 16 TL 56 780 Td\n{text}ET".encode("latin-1", "replace")
    return _assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            (
                b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
                b"/Resources << /Font << /F1 5 0 R >> >> >>"
            ),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
        ]
    )


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").replace("\n", " ")


def _assembled(objects: list[bytes]) -> bytes:
    out = b"%PDF-1.4\n"
    places = []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\n"
        % (
            size,
            table,
            size,
        )
        + b"startxref\n%d\n%%%%EOF\n" % len(out)
    )
