"""When credit is bought by itself: what an organization has set, and how often it went wrong."""

from __future__ import annotations

from datetime import datetime

from app.audit.service import AuditLog
from app.credits.domain import (
    AutoTopUp,
    Payers,
    TopUpKind,
    TopUpTerms,
    TopUpTrouble,
    month_of,
    smallest_charge,
)
from app.credits.errors import NothingToChargeSaved, TopUpTooSmall
from app.credits.models import AutoTopUpSettings
from app.credits.repository import CreditRepository
from app.credits.repository_top_ups import TopUpRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, encode_id, new_id
from app.kernel.money import Currency

CONSIDER = "credits.top_up"


class AutoTopUps:
    """The settings, and the mark on the account by which the ledger knows what is low."""

    def __init__(
        self,
        work: UnitOfWork,
        top_ups: TopUpRepository,
        credits: CreditRepository,
        payers: Payers,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._top_ups = top_ups
        self._credits = credits
        self._payers = payers
        self._audit = audit
        self._clock = clock

    async def get(self, organization_id: OrganizationId) -> AutoTopUp:
        """The settings and what they did this month; off for who never asked for it."""
        async with self._work.begin(organization_id):
            row = await self._top_ups.find_settings(organization_id)
            underway = await self._top_ups.find_underway(organization_id, TopUpKind.AUTOMATIC)
            bought = 0
            if row is not None:
                bought = await self._top_ups.bought(
                    organization_id, Currency(row.currency), month_of(self._clock.now())
                )
            return AutoTopUp(
                is_on=row is not None and row.is_on,
                terms=row.terms if row is not None else None,
                bought_this_month=bought,
                failures=row.failures if row is not None else 0,
                off_because=TopUpTrouble(row.off_because) if row and row.off_because else None,
                underway=underway.to_domain() if underway is not None else None,
            )

    async def turn_on(self, organization_id: OrganizationId, terms: TopUpTerms) -> AutoTopUp:
        """Buy credit from now on whenever there is less than the threshold.

        Raises `TopUpTooSmall`, and `NothingToChargeSaved` where there is nothing to charge.
        """
        refuse_too_small(terms)
        if await self._payers.find(organization_id) is None:
            raise NothingToChargeSaved
        async with self._work.begin(organization_id):
            row = await self._claim(organization_id, terms)
            before = _shown(row)
            row.is_on, row.failures, row.off_because, row.capped_in = True, 0, None, None
            row.currency, row.threshold = str(terms.currency), terms.threshold
            row.amount, row.monthly_cap = terms.amount, terms.monthly_cap
            await self._mark(organization_id, terms.currency, terms.threshold)
            self._record(organization_id, row, before)
            self._work.enqueue(CONSIDER, {"organization_id": organization_id})
        return await self.get(organization_id)

    async def turn_off(self, organization_id: OrganizationId) -> AutoTopUp:
        """Buy no more; what is being paid this moment still is. Again changes nothing."""
        async with self._work.begin(organization_id):
            row = await self._top_ups.claim_settings(organization_id)
            if row is not None and (row.is_on or row.off_because):
                before = _shown(row)
                row.is_on, row.off_because = False, None
                await self._mark(organization_id, None, None)
                self._record(organization_id, row, before)
        return await self.get(organization_id)

    async def note_success(self, organization_id: OrganizationId) -> None:
        """A top-up was paid: failures are counted from none. Joins the unit around it."""
        row = await self._top_ups.claim_settings(organization_id)
        if row is not None:
            row.failures = 0

    async def note_failure(
        self, organization_id: OrganizationId, trouble: TopUpTrouble, allowed: int
    ) -> bool:
        """Count one that was not paid; says whether that switched it off. Joins the unit."""
        row = await self._top_ups.claim_settings(organization_id)
        if row is None:
            return False
        row.failures += 1
        if row.is_on and row.failures >= allowed:
            await self._switch_off(organization_id, row, trouble)
        return not row.is_on

    async def stop(
        self, organization_id: OrganizationId, trouble: TopUpTrouble, since: datetime
    ) -> AutoTopUpSettings | None:
        """Buy no more until somebody says so again, unless somebody has since *since*.

        The settings where that switched it off; None, also the second time, where nothing changed.
        Joins the unit around it.
        """
        row = await self._top_ups.claim_settings(organization_id)
        if row is None or not row.is_on or row.changed_at > since:
            return None
        await self._switch_off(organization_id, row, trouble)
        return row

    async def _switch_off(
        self, organization_id: OrganizationId, row: AutoTopUpSettings, trouble: TopUpTrouble
    ) -> None:
        before = _shown(row)
        row.is_on, row.off_because = False, trouble.value
        await self._mark(organization_id, None, None)
        self._record(organization_id, row, before, reason=trouble.value, actor="system")

    async def _claim(self, organization_id: OrganizationId, terms: TopUpTerms) -> AutoTopUpSettings:
        await self._top_ups.add_settings(
            organization_id,
            AutoTopUpSettings(
                id=new_id(),
                is_on=False,
                currency=str(terms.currency),
                threshold=terms.threshold,
                amount=terms.amount,
                monthly_cap=terms.monthly_cap,
                failures=0,
                changed_at=self._clock.now(),
            ),
        )
        row = await self._top_ups.claim_settings(organization_id)
        if row is None:
            raise LookupError("settings that were in the way are gone")
        return row

    async def _mark(
        self, organization_id: OrganizationId, currency: Currency | None, below: int | None
    ) -> None:
        """Let the ledger tell when this account, and no other, is low."""
        if currency is not None:
            await self._credits.lock_account(organization_id, currency, self._clock.now())
        await self._credits.watch(organization_id, currency, below)

    def _record(
        self,
        organization_id: OrganizationId,
        row: AutoTopUpSettings,
        before: dict[str, object],
        reason: str | None = None,
        actor: str | None = None,
    ) -> None:
        row.changed_at = self._clock.now()
        self._audit.record(
            "credits.auto_top_up_changed",
            encode_id("org", organization_id),
            organization_id=organization_id,
            before=before,
            after=_shown(row),
            reason=reason,
            actor=actor,
        )


def refuse_too_small(terms: TopUpTerms) -> None:
    """Raises `TopUpTooSmall` for what Stripe would not charge."""
    least = smallest_charge(terms.currency)
    if terms.amount < least.minor:
        raise TopUpTooSmall(minimum=least.minor, currency=str(least.currency))


def _shown(row: AutoTopUpSettings) -> dict[str, object]:
    return {
        "enabled": row.is_on,
        "threshold": row.threshold,
        "amount": row.amount,
        "monthly_cap": row.monthly_cap,
        "currency": row.currency,
    }
