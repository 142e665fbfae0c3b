"""What becomes of a top-up once it is reserved: asked for at Stripe, paid, failed or given up."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog

from app.credits import domain
from app.credits.domain import (
    FAILURES_ALLOWED,
    KEY_HOLDS,
    PAYABLE,
    GrantType,
    TopUpState,
    TopUpTrouble,
)
from app.credits.errors import TopUpNotFound, TopUpOver
from app.credits.events import AutoTopUpFailed, CreditToppedUp
from app.credits.models import TopUp
from app.credits.repository_top_ups import TopUpRepository
from app.credits.service.auto_top_up import CONSIDER, AutoTopUps
from app.credits.service.ledger import CreditLedger, NewGrant
from app.gateways.stripe.errors import StripeKeyReused, StripeMissing, StripeRefused
from app.gateways.stripe.gateway import StripeGateway, StripeInvoice
from app.gateways.stripe.history import HistoryGateway
from app.gateways.stripe.top_ups import BILLING_TOP_UP, ChargeRefusal, TopUpGateway, TopUpOrder
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import MalformedId, OrganizationId, decode_id, encode_id
from app.kernel.money import Currency, Money
from app.kernel.pages import Page, PageRequest
from app.organizations.service import OrganizationService

log = structlog.get_logger(__name__)

STOP = "credits.stop_top_up"
_ROUND_TRIP = timedelta(hours=1)
"""Stripe's clock and ours may differ; no invoice was made longer than this before its row."""


class TopUpDesk:
    """Stripe's invoice says whether a top-up is paid, whoever tells of it, and however often."""

    def __init__(
        self,
        work: UnitOfWork,
        top_ups: TopUpRepository,
        automatic: AutoTopUps,
        ledger: CreditLedger,
        stripe: StripeGateway,
        history: HistoryGateway,
        gateway: TopUpGateway,
        organizations: OrganizationService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._top_ups = top_ups
        self._automatic = automatic
        self._ledger = ledger
        self._stripe = stripe
        self._history = history
        self._gateway = gateway
        self._organizations = organizations
        self._clock = clock

    async def get(self, organization_id: OrganizationId, top_up_id: UUID) -> domain.TopUp:
        """Raises `TopUpNotFound`."""
        async with self._work.begin(organization_id):
            found = await self._top_ups.find(organization_id, top_up_id)
            if found is None:
                raise TopUpNotFound
            return found.to_domain()

    async def list(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[domain.TopUp]:
        """Every purchase of credit, the newest first."""
        async with self._work.begin(organization_id):
            page = await self._top_ups.list_for_organization(organization_id, request)
            return page.map(TopUp.to_domain)

    async def carry_on(self, organization_id: OrganizationId, top_up_id: UUID) -> None:
        """Take a top-up as far as it goes now, from wherever a crash or Stripe's silence left it.

        No card is charged by itself while the organization is suspended. Repeating it, also by two
        at once, makes one invoice and one charge. Raises what Stripe refuses about the invoice
        itself, after the top-up is given up for it.
        """
        row = await self._look(organization_id, top_up_id)
        if row.is_over:
            return
        told = await self._ask(organization_id, row)
        if told is None:
            return
        await self.take(organization_id, top_up_id, told)
        if told.id is None or told.status != "open" or told.attempt_count or row.failed_at:
            return
        if row.is_automatic and not await self._is_suspended(organization_id):
            charged = await self._gateway.charge(told.id, key=_key(row))
            async with self._work.begin(organization_id):
                await self.take(organization_id, top_up_id, charged.invoice)
                if charged.refusal is not None:
                    await self._fail(
                        organization_id, top_up_id, TopUpTrouble(charged.refusal.value)
                    )

    async def take(
        self, organization_id: OrganizationId, top_up_id: UUID, told: StripeInvoice
    ) -> None:
        """What Stripe's invoice says; joins the unit around it. Order and number do not matter."""
        async with self._work.begin(organization_id):
            row = await self._top_ups.claim(organization_id, top_up_id)
            if row is None or told.id is None or told.status == "draft":
                return
            if row.stripe_invoice_id not in (None, told.id):
                if told.is_paid:
                    self._alarm(row, told)
                return
            if row.state == TopUpState.PAID or row.trouble == TopUpTrouble.MISMATCH:
                return
            row.open(told.id, told.hosted_url)
            if told.is_paid:
                await self._pay(organization_id, row, told)
            elif told.status == "void" and not row.is_over:
                row.settle(TopUpState.VOID, self._clock.now(), _of(row) or TopUpTrouble.CANCELED)
            elif told.status == "open" and row.is_over:
                # It was given up while nobody knew that it exists at Stripe.
                self._work.enqueue(STOP, {"organization_id": organization_id, "top_up_id": row.id})

    async def take_collected(self, organization_id: OrganizationId, told: StripeInvoice) -> bool:
        """As `take`, for an invoice of which it is not known yet whether it pays a top-up."""
        top_up_id = _paid_for(told)
        if top_up_id is None:
            return False
        await self.take(organization_id, top_up_id, told)
        return True

    async def note_failure(
        self, organization_id: OrganizationId, told: StripeInvoice, refusal: ChargeRefusal
    ) -> None:
        """Stripe tells that nobody paid it; once, whoever hears first. Joins the unit around it."""
        top_up_id = _paid_for(told)
        if top_up_id is not None:
            async with self._work.begin(organization_id):
                await self._fail(organization_id, top_up_id, TopUpTrouble(refusal.value))

    async def cancel(self, organization_id: OrganizationId, top_up_id: UUID) -> domain.TopUp:
        """Let nobody pay it any more. Raises `TopUpNotFound`, `TopUpOver`."""
        row = await self._look(organization_id, top_up_id)
        if row.state != TopUpState.OPEN or await self._is_being_paid(row):
            raise TopUpOver
        if not await self._void(organization_id, row, TopUpTrouble.CANCELED):
            raise TopUpOver
        return await self.get(organization_id, top_up_id)

    async def stop(self, organization_id: OrganizationId, top_up_id: UUID) -> None:
        """Void at Stripe what was given up here; a payment that was faster is taken."""
        row = await self._look(organization_id, top_up_id)
        if row.state == TopUpState.VOID:
            await self._void(organization_id, row, TopUpTrouble.UNPAID)

    async def give_up_if_due(self, organization_id: OrganizationId, top_up_id: UUID) -> None:
        """Void what nobody paid while it could be. A bank's debit under way is waited for."""
        row, now = await self._look(organization_id, top_up_id), self._clock.now()
        since = row.failed_at or row.created_at
        if row.state != TopUpState.OPEN or now < since + PAYABLE or await self._is_being_paid(row):
            return
        async with self._work.begin(organization_id):
            await self._fail(organization_id, top_up_id, TopUpTrouble.UNPAID)
        await self._void(organization_id, row, TopUpTrouble.UNPAID)

    async def _ask(self, organization_id: OrganizationId, row: TopUp) -> StripeInvoice | None:
        """Stripe's invoice of a top-up, made now if it is not there."""
        if row.stripe_invoice_id is not None:
            return await self._stripe.get_invoice(row.stripe_invoice_id)
        if self._clock.now() >= row.created_at + KEY_HOLDS:
            # The key may be forgotten, and a call under it would make a second invoice.
            found = await self._search(row)
            if found is None:
                await self._refuse(organization_id, row.id)
            return found
        try:
            return await self._gateway.issue(_order(row), key=_key(row))
        except (StripeMissing, StripeRefused, StripeKeyReused):
            await self._refuse(organization_id, row.id)
            raise

    async def _search(self, row: TopUp) -> StripeInvoice | None:
        made = await self._history.list_invoices(
            row.stripe_customer_id, row.created_at - _ROUND_TRIP
        )
        theirs = (one for one in made if one.status != "draft" and _paid_for(one) == row.id)
        return next(theirs, None)

    async def _pay(self, organization_id: OrganizationId, row: TopUp, told: StripeInvoice) -> None:
        now = told.paid_at or self._clock.now()
        if (told.total, told.currency) != (row.amount, row.currency):
            self._alarm(row, told)
            row.settle(TopUpState.VOID, now, TopUpTrouble.MISMATCH)
            return
        row.settle(TopUpState.PAID, now)
        if row.is_automatic:
            await self._automatic.note_success(organization_id)
        await self._ledger.grant(
            organization_id,
            NewGrant(
                GrantType.PURCHASED, Money(row.amount, Currency(row.currency)), "Credit bought"
            ),
            actor=row.actor,
            cause=f"top_up:{row.id}",
        )
        self._work.announce(
            CreditToppedUp(organization_id, row.id, row.kind, row.amount, row.currency, row.pay_url)
        )
        if row.is_automatic:
            # One may not be enough; whoever looks finds out.
            self._work.enqueue(CONSIDER, {"organization_id": organization_id})

    async def _fail(
        self, organization_id: OrganizationId, top_up_id: UUID, trouble: TopUpTrouble
    ) -> None:
        row = await self._top_ups.claim(organization_id, top_up_id)
        if row is None or row.is_over or row.failed_at is not None:
            return
        row.fail(trouble, self._clock.now())
        if row.is_automatic:
            await self._count(organization_id, row, trouble)

    async def _refuse(self, organization_id: OrganizationId, top_up_id: UUID) -> None:
        """Give up what Stripe made no invoice of."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            row = await self._top_ups.claim(organization_id, top_up_id)
            if row is None or row.state != TopUpState.RESERVED:
                return
            row.fail(TopUpTrouble.REFUSED, now)
            row.settle(TopUpState.VOID, now)
            if row.is_automatic:
                await self._count(organization_id, row, TopUpTrouble.REFUSED)

    async def _count(
        self, organization_id: OrganizationId, row: TopUp, trouble: TopUpTrouble
    ) -> None:
        is_off = await self._automatic.note_failure(organization_id, trouble, FAILURES_ALLOWED)
        self._work.announce(
            AutoTopUpFailed(
                organization_id,
                row.id,
                trouble.value,
                row.amount,
                row.currency,
                row.pay_url,
                is_off,
            )
        )

    async def _void(
        self, organization_id: OrganizationId, row: TopUp, trouble: TopUpTrouble
    ) -> bool:
        """Whether it is void now. A payment that was faster is taken."""
        if row.stripe_invoice_id is None:
            return row.is_over
        try:
            told = await self._gateway.void(row.stripe_invoice_id, key=_key(row))
        except StripeRefused:
            told = await self._stripe.get_invoice(row.stripe_invoice_id)
        async with self._work.begin(organization_id):
            found = await self._top_ups.claim(organization_id, row.id)
            if told.status == "void" and found is not None and not found.is_over:
                found.settle(TopUpState.VOID, self._clock.now(), _of(found) or trouble)
            else:
                await self.take(organization_id, row.id, told)
        return told.status == "void"

    async def _is_being_paid(self, row: TopUp) -> bool:
        """Whether a charge was tried and has not failed: a debit that takes days."""
        if row.stripe_invoice_id is None or row.failed_at is not None:
            return False
        told = await self._stripe.get_invoice(row.stripe_invoice_id)
        return told.status == "open" and told.attempt_count > 0

    async def _is_suspended(self, organization_id: OrganizationId) -> bool:
        async with self._work.begin(organization_id):
            return (await self._organizations.get(organization_id)).is_suspended

    async def _look(self, organization_id: OrganizationId, top_up_id: UUID) -> TopUp:
        async with self._work.begin(organization_id):
            found = await self._top_ups.find(organization_id, top_up_id)
            if found is None:
                raise TopUpNotFound
            return found

    def _alarm(self, row: TopUp, told: StripeInvoice) -> None:
        # A person gives the money back, or the credit.
        log.error(
            "credits.top_up_paid_otherwise",
            organization_id=row.organization_id,
            top_up_id=row.id,
            stripe_invoice_id=told.id,
            amount=told.amount_paid,
        )


def _paid_for(told: StripeInvoice) -> UUID | None:
    """The top-up that an invoice of Stripe's is the payment of."""
    try:
        return decode_id("top", told.metadata.get(BILLING_TOP_UP, ""))
    except MalformedId:
        return None


def _order(row: TopUp) -> TopUpOrder:
    # From the row, not as things are now: a key that comes again says the same.
    return TopUpOrder(
        customer_id=row.stripe_customer_id,
        amount=row.amount,
        currency=row.currency,
        description="Prepaid credit",
        top_up=encode_id("top", row.id),
        payment_method_id=row.payment_method_id,
    )


def _key(row: TopUp) -> str:
    return f"top_up:{row.id}"


def _of(row: TopUp) -> TopUpTrouble | None:
    return TopUpTrouble(row.trouble) if row.trouble else None
