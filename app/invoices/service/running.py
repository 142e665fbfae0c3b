"""The run that closes windows: again and again, by as many as like, each window once."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.infra.db.unit_of_work import UnitOfWork
from app.invoices.domain import InvoiceStatus, RunReport
from app.invoices.errors import WindowIssued
from app.invoices.repository.own import Known, OwnInvoiceRepository
from app.invoices.service.issuing import Dates, InvoiceIssuing
from app.invoices.service.rating import ADJUSTED_FOR
from app.invoices.service.terms import WindowTerms
from app.kernel.clock import Clock
from app.kernel.errors import BillingError
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.organizations.domain import Held, HeldWindow
from app.organizations.service.held import HeldPlans
from app.subscriptions.service.coverage import Coverage, SubscriptionCoverage
from app.usage.errors import UsageUnpriced

log = structlog.get_logger(__name__)

LOOKS_BACK = timedelta(days=62)
"""A window that ended longer ago and was not billed is for an operator to look at."""

_PAGE = 200


def _closed(held: Held, coverage: Coverage, since: datetime, now: datetime) -> list[HeldWindow]:
    """What ended, also time without a subscription in which a plan was given for a while."""
    found = {window.period.start: window for window in held.closed(since, now)}
    for stretch in coverage.given(held.organization.id):
        start, end = max(stretch.since, since), min(stretch.until or now, now)
        if stretch.bills_anything and start < end:
            for window in held.closed_around(Period(start, end), stretch.beneath, now):
                found.setdefault(window.period.start, window)
    return [found[start] for start in sorted(found)]


def _nobody(_: UUID) -> None:
    return None


class InvoiceRun:
    """Each window is a unit of its own: a run that is killed loses at most the one it was at, and
    the next one goes on. That a window is billed once is for the database to say."""

    def __init__(
        self,
        work: UnitOfWork,
        own: OwnInvoiceRepository,
        held: HeldPlans,
        coverage: SubscriptionCoverage,
        terms: WindowTerms,
        issuing: InvoiceIssuing,
        clock: Clock,
        dates: Dates,
    ) -> None:
        self._work = work
        self._own = own
        self._held = held
        self._coverage = coverage
        self._terms = terms
        self._issuing = issuing
        self._clock = clock
        self._dates = dates

    async def close(
        self, *, tell: Callable[[UUID], None] = _nobody, anywhere: bool = False
    ) -> RunReport:
        """Draft what has ended, issue what has waited out its grace; *tell* of each organization.

        A window whose usage waits for a price waits with it. What else goes wrong with one
        organization is logged with its reason, holds up no other, and is tried again next time. Beginning *anywhere*, runs that go on at the
        same time share the work: each finds done what another has been through.
        """
        report = RunReport()
        since = self._clock.now() - LOOKS_BACK
        start = await self._held.anyone() if anywhere else None
        async for page in self._pages(since, start):
            await self._close_page(page, since, report, tell)
        if report.organizations:
            log.info(
                "invoices.run",
                organizations=len(report.organizations),
                drafted=report.drafted,
                issued=report.issued,
                waiting_for_prices=report.waiting_for_prices,
                failed=report.failed,
            )
        return report

    async def _close_page(
        self,
        page: Sequence[Held],
        since: datetime,
        report: RunReport,
        tell: Callable[[UUID], None],
    ) -> None:
        """Where another run is at the same page, this one goes on from the page's other end."""
        ids = [held.organization.id for held in page]
        async with self._work.begin_platform():
            coverage = await self._coverage.of(ids)
        known, rated = await self._billed(ids, since)
        left = deque(page)
        while left:
            held = left.popleft()
            met = False
            for window in _closed(held, coverage, since, self._clock.now()):
                key = (held.organization.id, window.period.start)
                invoice = known.get(key)
                if invoice is not None or key not in rated:
                    met |= await self._guarded(held, window, invoice, coverage, report)
            tell(held.organization.id)
            if met:
                known, rated = await self._billed(ids, since)
                left.reverse()

    async def _billed(
        self, ids: Sequence[UUID], since: datetime
    ) -> tuple[dict[tuple[UUID, datetime], Known], set[tuple[UUID, datetime]]]:
        async with self._work.begin_platform():
            return (
                await self._own.known_for_platform(ids, since),
                await self._own.rated_for_platform(ids, since),
            )

    async def _pages(self, since: datetime, start: UUID | None) -> AsyncIterator[list[Held]]:
        """Those after *start* up to the last, then from the first to *start*."""
        after, is_around = start, start is None
        given_to = await self._coverage.given_to(since - ADJUSTED_FOR)
        while True:
            page = await self._held.page(self._terms.plans(), since, after, _PAGE, given_to)
            if is_around and start is not None:
                page = [held for held in page if held.organization.id <= start]
            if page:
                after = page[-1].organization.id
                yield page
            elif is_around:
                return
            else:
                after, is_around = None, True

    async def _guarded(
        self,
        held: Held,
        window: HeldWindow,
        known: Known | None,
        coverage: Coverage,
        report: RunReport,
    ) -> bool:
        """Whether another run was quicker."""
        owner = held.organization.id
        try:
            await self._close(held, window, known, coverage, report)
        except WindowIssued:
            return True
        except UsageUnpriced as error:
            report.waiting_for_prices += 1
            log.warning("invoices.waits_for_prices", organization_id=owner, **error.context)
        except BillingError as error:
            report.failed += 1
            log.error(
                "invoices.not_closed", organization_id=owner, code=error.code, reason=error.message
            )
        except Exception:
            report.failed += 1
            log.exception("invoices.not_closed", organization_id=owner)
        return False

    async def _close(
        self,
        held: Held,
        window: HeldWindow,
        known: Known | None,
        coverage: Coverage,
        report: RunReport,
    ) -> None:
        owner = OrganizationId(held.organization.id)
        now = self._clock.now()
        if known is not None:
            if known.status is InvoiceStatus.DRAFT and known.finalize_after <= now:
                await self._issuing.finalize(owner, known.invoice_id)
                report.issued += 1
                report.organizations.add(owner)
            return
        terms = await self._terms.due(held, window, coverage)
        if terms is None:
            return
        is_due = window.period.end + self._dates.grace <= now
        if is_due:
            made = await self._issuing.issue(owner, terms)
        else:
            made = await self._issuing.draft(owner, terms, keep_empty=False)
        if made is not None:
            report.organizations.add(owner)
            if is_due:
                report.issued += 1
            else:
                report.drafted += 1
