"""The invoice as one self-contained page that prints well."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.invoices.document import InvoiceDocument, as_shown

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "invoice.css").read_text()
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)

CONTENT_POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may do: wear its own style sheet, and nothing else."""


def render_html(document: InvoiceDocument) -> str:
    """The page. Every name is escaped; the figures are those of the PDF."""
    template = _ENVIRONMENT.get_template("invoice.html")
    # The style sheet is ours and must stay byte for byte what the policy's hash says.
    return template.render(d=as_shown(document), style=Markup(_STYLE))  # noqa: S704
