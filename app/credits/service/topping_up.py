"""Buying credit: by itself when there is little left, or because somebody wants some."""

from __future__ import annotations

from uuid import UUID

import structlog

from app.audit.service import AuditLog
from app.credits import domain
from app.credits.domain import Payer, Payers, TopUpKind, TopUpState, TopUpTrouble, month_of
from app.credits.errors import TopUpTooSmall, TopUpUnderway
from app.credits.events import AutoTopUpFailed
from app.credits.models import AutoTopUpSettings, TopUp
from app.credits.repository_top_ups import TopUpRepository
from app.credits.service.auto_top_up import AutoTopUps
from app.credits.service.ledger import CreditLedger
from app.credits.service.top_ups import TopUpDesk
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import BillingError, Unavailable
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency, Money
from app.organizations.service import OrganizationService

log = structlog.get_logger(__name__)

_AT_ONCE = 200


class ToppingUp:
    """Reserves, in one unit; everything after that is the desk's. One of a kind is underway."""

    def __init__(
        self,
        work: UnitOfWork,
        top_ups: TopUpRepository,
        automatic: AutoTopUps,
        desk: TopUpDesk,
        ledger: CreditLedger,
        payers: Payers,
        audit: AuditLog,
        organizations: OrganizationService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._top_ups = top_ups
        self._automatic = automatic
        self._desk = desk
        self._ledger = ledger
        self._payers = payers
        self._audit = audit
        self._organizations = organizations
        self._clock = clock

    async def consider(self, organization_id: OrganizationId) -> None:
        """Buy credit if the settings say so now. Asking again, or ten at once, buys it once.

        Nothing is bought for an organization while it is suspended.
        """
        async with self._work.begin(organization_id):
            settings = await self._top_ups.find_settings(organization_id)
            if settings is None or not settings.is_on:
                return
            underway = await self._top_ups.find_underway(organization_id, TopUpKind.AUTOMATIC)
            is_wanted = underway is None and await self._is_low(organization_id, settings)
            if (await self._organizations.get(organization_id)).is_suspended:
                return
        if underway is not None and underway.state == TopUpState.RESERVED:
            await self._carry_on(organization_id, underway.id)
        elif is_wanted:
            payer = await self._payers.find(organization_id)
            reserved = await self._reserve(organization_id, payer)
            if reserved is not None:
                await self._carry_on(organization_id, reserved)

    async def buy(
        self, organization_id: OrganizationId, amount: Money, *, email: str | None, actor: str
    ) -> domain.TopUp:
        """Sell credit on a page of Stripe's; it is given when that is paid.

        Asking again for the same while it waits answers the same. Raises `TopUpTooSmall`, and
        `TopUpUnderway` while another amount waits.
        """
        least = domain.smallest_charge(amount.currency)
        if amount.minor < least.minor:
            raise TopUpTooSmall(minimum=least.minor, currency=str(least.currency))

        async def sale(customer_id: str) -> domain.TopUp:
            top_up_id = await self._reserve_sale(organization_id, amount, customer_id, actor)
            await self._desk.carry_on(organization_id, top_up_id)
            return await self._desk.get(organization_id, top_up_id)

        return await self._payers.sell(organization_id, email, sale)

    async def sweep(self) -> int:
        """Go on with what is underway and look at every low balance; says how many there were.

        Where Stripe cannot be reached the rest waits for the next time.
        """
        try:
            return await self._go_on() + await self._look_at_low()
        except Unavailable as trouble:
            log.warning("credits.top_ups_wait", error=type(trouble).__name__)
            return 0

    async def _go_on(self) -> int:
        after: UUID | None = None
        done = 0
        while True:
            async with self._work.begin_platform():
                found = await self._top_ups.list_underway_for_platform(after, _AT_ONCE)
            for organization_id, top_up_id in found:
                await self._carry_on(organization_id, top_up_id)
                await self._desk.give_up_if_due(organization_id, top_up_id)
                after = top_up_id
            done += len(found)
            if len(found) < _AT_ONCE:
                return done

    async def _look_at_low(self) -> int:
        after: OrganizationId | None = None
        done = 0
        while True:
            async with self._work.begin_platform():
                found = await self._top_ups.list_low_for_platform(
                    after, self._clock.now(), _AT_ONCE
                )
            for organization_id in found:
                await self.consider(organization_id)
                after = organization_id
            done += len(found)
            if len(found) < _AT_ONCE:
                return done

    async def _carry_on(self, organization_id: OrganizationId, top_up_id: UUID) -> None:
        try:
            await self._desk.carry_on(organization_id, top_up_id)
        except Unavailable:
            raise
        except BillingError as refusal:
            # What Stripe refused is written on the row, and somebody was told.
            log.warning("credits.top_up_refused", top_up_id=top_up_id, code=refusal.code)

    async def _is_low(self, organization_id: OrganizationId, settings: AutoTopUpSettings) -> bool:
        balances = await self._ledger.balances(organization_id)
        left = next((one.available for one in balances if one.currency == settings.currency), 0)
        return left < settings.threshold

    async def _reserve(self, organization_id: OrganizationId, payer: Payer | None) -> UUID | None:
        """Write down what will be charged; nothing where that is not wanted any more."""
        now = self._clock.now()
        async with self._work.begin(organization_id):
            settings = await self._top_ups.claim_settings(organization_id)
            if settings is None or not settings.is_on:
                return None
            # Looked for first: an insert that meets it would wait for whoever settles it, who
            # waits for these settings.
            if await self._top_ups.find_underway(organization_id, TopUpKind.AUTOMATIC) is not None:
                return None
            if not await self._is_low(organization_id, settings):
                return None
            if payer is None:
                await self._tell(organization_id, settings, TopUpTrouble.NO_PAYMENT_METHOD)
                return None
            month, terms = month_of(now), settings.terms
            bought = await self._top_ups.bought(organization_id, terms.currency, month)
            if bought + terms.amount > terms.monthly_cap:
                if settings.capped_in != month:
                    settings.capped_in = month
                    await self._tell(organization_id, settings, TopUpTrouble.CAP_REACHED)
                return None
            wanted = TopUp(
                id=new_id(),
                kind=TopUpKind.AUTOMATIC.value,
                state=TopUpState.RESERVED.value,
                amount=terms.amount,
                currency=str(terms.currency),
                month=month,
                monthly_cap=terms.monthly_cap,
                stripe_customer_id=payer.customer_id,
                payment_method_id=payer.payment_method_id,
                actor="system",
                created_at=now,
            )
            return wanted.id if await self._top_ups.reserve(organization_id, wanted) else None

    async def _reserve_sale(
        self, organization_id: OrganizationId, amount: Money, customer_id: str, actor: str
    ) -> UUID:
        now = self._clock.now()
        async with self._work.begin(organization_id):
            wanted = TopUp(
                id=new_id(),
                kind=TopUpKind.MANUAL.value,
                state=TopUpState.RESERVED.value,
                amount=amount.minor,
                currency=str(amount.currency),
                month=month_of(now),
                stripe_customer_id=customer_id,
                actor=actor,
                created_at=now,
            )
            if await self._top_ups.reserve(organization_id, wanted):
                self._audit.record(
                    "credits.top_up_started",
                    encode_id("top", wanted.id),
                    organization_id=organization_id,
                    after={"amount": wanted.amount, "currency": wanted.currency},
                    actor=actor,
                )
                return wanted.id
            rival = await self._top_ups.find_underway(organization_id, TopUpKind.MANUAL)
            if rival is not None and _asks_for(rival) == amount:
                return rival.id
            raise TopUpUnderway(
                top_up_id=encode_id("top", rival.id) if rival else None,
                pay_url=rival.pay_url if rival else None,
            )

    async def _tell(
        self, organization_id: OrganizationId, settings: AutoTopUpSettings, trouble: TopUpTrouble
    ) -> None:
        """Nothing was tried, and why; without anything to charge there is no use in going on."""
        is_off = trouble is TopUpTrouble.NO_PAYMENT_METHOD
        if is_off:
            await self._automatic.note_failure(organization_id, trouble, allowed=0)
        self._work.announce(
            AutoTopUpFailed(
                organization_id,
                None,
                trouble.value,
                settings.amount,
                settings.currency,
                None,
                is_off,
            )
        )


def _asks_for(row: TopUp) -> Money:
    return Money(row.amount, Currency(row.currency))
