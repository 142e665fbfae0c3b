"""Proofs: written once, when an invoice is issued, and chained in the order of its numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.document import Party
from app.invoices.domain import InvoiceOrigin
from app.invoices.errors import InvoiceNotFound, InvoiceNotIssued, ProofIsStripes, ProofNotKept
from app.invoices.models import Invoice, InvoiceProof
from app.invoices.numbering import OURS, InvoiceNumbers
from app.invoices.repository.proofs import ProofRepository
from app.invoices.service.composing import Composed
from app.invoices.service.evidence import Issue, Link, canonical, instant, proof_of, usage_of
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.rates import plain
from app.kernel.settling import CreditDrawn
from app.pricing.domain import PriceBook
from app.pricing.service import PriceService


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof as it was written, and its hash."""

    number: str
    hash: str
    document: str

    @property
    def text(self) -> str:
        """The file that a proof is: its hash, and what was hashed."""
        return f'{{"hash":"{self.hash}","proof":{self.document}}}'


class InvoiceProofs:
    """What an invoice rests on is kept as it was then: usage that comes later changes no proof.

    Each proof holds the hash of the proof before it in the seller's series. The head of a series
    stands beside its last number, and one lock covers both, so a series cannot fork.
    """

    def __init__(
        self,
        work: UnitOfWork,
        proofs: ProofRepository,
        numbers: InvoiceNumbers,
        prices: PriceService,
    ) -> None:
        self._work = work
        self._proofs = proofs
        self._numbers = numbers
        self._prices = prices
        self._book: PriceBook | None = None
        self._rows: Mapping[UUID, Mapping[str, Any]] = {}

    async def get(self, organization_id: OrganizationId, invoice_id: UUID) -> Proof:
        """The proof of an invoice that was issued here, void ones included.

        Raises `InvoiceNotFound`, `ProofIsStripes`, `InvoiceNotIssued`, `ProofNotKept`.
        """
        async with self._work.begin(organization_id):
            invoice, proof = await self._proofs.find(organization_id, invoice_id)
        if invoice is None:
            raise InvoiceNotFound
        if invoice.origin != InvoiceOrigin.OWN.value:
            raise ProofIsStripes
        if invoice.number is None:
            raise InvoiceNotIssued(status=invoice.status)
        if proof is None:
            raise ProofNotKept
        return Proof(invoice.number, proof.hash, proof.document)

    async def seal(
        self,
        organization_id: OrganizationId,
        invoice: Invoice,
        composed: Composed,
        credit: Sequence[CreditDrawn],
        seller: Party,
    ) -> InvoiceProof:
        """Give an invoice its number; the proof of it, to be stored in the unit that issues it.

        Last in that unit: whoever issues next under this seller waits for it to commit.
        """
        assert invoice.issued_at is not None and invoice.due_at is not None  # noqa: PT018
        prices = await self._known(composed)
        taken = await self._numbers.take_linked(OURS, invoice.issued_at)
        invoice.number = taken.number
        previous = None
        if taken.head is not None:
            previous = Link(taken.before, taken.head)
        issue = Issue(
            invoice.id,
            organization_id,
            taken.number,
            invoice.issued_at,
            invoice.due_at,
            seller,
            credit,
            previous,
        )
        document = canonical(proof_of(issue, composed, prices))
        return InvoiceProof(
            organization_id=organization_id,
            id=invoice.id,
            seller=OURS,
            year=taken.year,
            place=taken.place,
            previous_hash=taken.head,
            hash=hashlib.sha256(document.encode()).hexdigest(),
            document=document,
        )

    async def keep(self, organization_id: OrganizationId, proof: InvoiceProof) -> None:
        """Store a sealed proof as the head of its series, in the unit that sealed it."""
        async with self._work.begin(organization_id):
            await self._proofs.add(organization_id, proof)

    async def _known(self, composed: Composed) -> Mapping[UUID, Mapping[str, Any]]:
        """The price book's rows, read again where the usage names one that came later."""
        named = {
            each
            for line in usage_of(composed)
            for each in (line.proof.price_ids if line.proof else ())
        }
        if self._book is not self._prices.book:
            self._keep(self._prices.book)
        if not named <= self._rows.keys():
            self._keep(await self._prices.refresh())
        return self._rows

    def _keep(self, book: PriceBook) -> None:
        rows: dict[UUID, Mapping[str, Any]] = {
            row.id: {
                "provider": row.provider,
                "model": row.model,
                "role": row.role.value,
                "per_million": plain(row.per_million),
                "effective_from": instant(row.effective_from),
                "organization": _owner(row.organization_id),
            }
            for row in book.rows
        }
        for markup in book.markups:
            rows[markup.id] = {
                "provider": markup.provider,
                "model": markup.model,
                "percent": plain(markup.percent),
                "effective_from": instant(markup.effective_from),
                "organization": _owner(markup.organization_id),
            }
        self._book, self._rows = book, rows


def _owner(organization_id: OrganizationId | None) -> str | None:
    return None if organization_id is None else encode_id("org", organization_id)
