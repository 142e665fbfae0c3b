"""Who is billed: an organization's own words, or its name where it said nothing."""

from __future__ import annotations

from decimal import Decimal

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import Details
from app.invoices.errors import VatIdInvalid
from app.invoices.models import BillingDetails
from app.invoices.repository.details import DetailsRepository
from app.invoices.taxation import EU, normal_vat_id
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id


class BillingDetailsService:
    """Reads and changes billing details; issued documents keep what they were issued with."""

    def __init__(
        self, work: UnitOfWork, details: DetailsRepository, audit: AuditLog, clock: Clock
    ) -> None:
        self._work = work
        self._details = details
        self._audit = audit
        self._clock = clock

    async def get(self, organization_id: OrganizationId) -> Details:
        """What was said, empty where nothing was. Joins the unit around it."""
        async with self._work.begin(organization_id):
            row = await self._details.find(organization_id)
        if row is None:
            return Details()
        return Details(
            legal_name=row.legal_name,
            address=tuple(row.address),
            country=row.country,
            email=row.email,
            tax_id=row.tax_id,
            tax_rate=row.tax_rate,
            collection=row.collection,
        )

    async def put(self, organization_id: OrganizationId, details: Details) -> Details:
        """Replace what the organization says about itself; tax rate and collection are the
        operators' and stay. Raises `VatIdInvalid` for a country of the EU."""
        tax_id = details.tax_id
        if tax_id is not None and details.country in EU:
            tax_id = normal_vat_id(tax_id)
            if tax_id is None:
                raise VatIdInvalid
        async with self._work.begin(organization_id):
            before = await self.get(organization_id)
            after = Details(
                legal_name=details.legal_name,
                address=details.address,
                country=details.country,
                email=details.email,
                tax_id=tax_id,
                tax_rate=before.tax_rate,
                collection=before.collection,
            )
            await self._store(organization_id, before, after)
        return after

    async def agree(
        self, organization_id: OrganizationId, tax_rate: Decimal | None, collection: str | None
    ) -> Details:
        """Set what operators decide: the organization's tax rate, and how its invoices are paid."""
        async with self._work.begin(organization_id):
            before = await self.get(organization_id)
            after = Details(
                before.legal_name,
                before.address,
                before.country,
                before.email,
                before.tax_id,
                tax_rate,
                collection,
            )
            await self._store(organization_id, before, after)
        return after

    async def _store(
        self, organization_id: OrganizationId, before: Details, after: Details
    ) -> None:
        await self._details.put(
            organization_id,
            BillingDetails(
                id=new_id(),
                legal_name=after.legal_name,
                address=list(after.address),
                country=after.country,
                email=after.email,
                tax_id=after.tax_id,
                tax_rate=after.tax_rate,
                collection=after.collection,
                updated_at=self._clock.now(),
            ),
        )
        self._audit.record(
            "invoices.details_changed",
            encode_id("org", organization_id),
            organization_id=organization_id,
            before=_shown(before),
            after=_shown(after),
        )


def _shown(details: Details) -> dict[str, object]:
    return {
        "legal_name": details.legal_name,
        "address": list(details.address),
        "country": details.country,
        "email": details.email,
        "tax_id": details.tax_id,
        "tax_rate": str(details.tax_rate) if details.tax_rate is not None else None,
        "collection": details.collection,
    }
