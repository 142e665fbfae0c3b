"""Documents as self-contained pages that print well."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.invoices.document import InvoiceDocument, Labelled, as_shown
from app.invoices.look import Look

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "document.css").read_text()
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(_TEMPLATES),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Pages:
    """Makes pages; every string of the data is escaped."""

    def __init__(self, look: Look | None = None) -> None:
        look = look or Look()
        self._style = f":root {{ --accent: {look.color}; }}\n{_STYLE}"
        self._logo = look.logo.inline if look.logo is not None else None
        digest = base64.b64encode(hashlib.sha256(self._style.encode()).digest()).decode()
        self.content_policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; "
            f"{'img-src data:; ' if self._logo else ''}"
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        """What a page may do: wear its own style sheet and the logo, and nothing else."""

    def render(self, template: str, data: Mapping[str, object]) -> str:
        """The page of a template in templates/, which extends base.html and sees *data* as `d`.

        base.html wants `title`, `number`, `seller`, `notes` and `footer`.
        """
        # The style sheet is ours and must stay byte for byte what the policy's hash says.
        style = Markup(self._style)  # noqa: S704
        return _ENVIRONMENT.get_template(template).render(d=data, style=style, logo=self._logo)

    def invoice(
        self,
        document: InvoiceDocument,
        since: Sequence[Labelled] = (),
        pay_url: str | None = None,
    ) -> str:
        """The page of an invoice; its figures are those of the PDF. What happened *since* it was
        issued stands below them, and where it can be paid; neither is on a PDF."""
        more = {"since": list(since), "pay_url": pay_url}
        return self.render("invoice.html", {**as_shown(document), **more})
