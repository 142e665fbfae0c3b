"""Who is billed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from app.invoices.document import Party


@dataclass(frozen=True, slots=True)
class Details:
    """What an organization wants on its invoices."""

    legal_name: str | None = None
    address: tuple[str, ...] = ()
    country: str | None = None
    email: str | None = None
    tax_id: str | None = None
    tax_rate: Decimal | None = None
    collection: str | None = None

    def party(self, organization_name: str) -> Party:
        name = self.legal_name or organization_name
        return Party(name, self.address, self.email, self.tax_id, self.country)
