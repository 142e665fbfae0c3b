"""Changing what is subscribed to: up at once, down at the period's end, out, and back in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.gateways.stripe.gateway import StripeGateway, StripeInvoice, StripeSubscription
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.errors import BillingError, Unavailable
from app.kernel.ids import OrganizationId, new_id
from app.subscriptions.domain import (
    ENDED,
    LIVE,
    ChangeOutcome,
    ChangePreview,
    ChangeResult,
    Direction,
    PreviewLine,
    Price,
    direction,
)
from app.subscriptions.errors import (
    CancellationScheduled,
    ChangeInProgress,
    NoSubscription,
    NothingToResume,
    PaymentOutstanding,
    PlanNotForSale,
    SamePlan,
    SubscriptionEnded,
    UnknownPlan,
)
from app.subscriptions.models import RequestedChange
from app.subscriptions.repository import ChangeRepository, SubscriptionRepository
from app.subscriptions.service.mirror import SubscriptionMirror
from app.subscriptions.service.plans import (
    coming_plan,
    current_price,
    item_changes,
    ordered_prices,
    price_of,
)
from app.subscriptions.service.reports import Report

LEASE = timedelta(minutes=2)
"""How long a change may be under way before another is let past it."""
_UNPAID = frozenset({"past_due", "unpaid", "incomplete"})


@dataclass(frozen=True, slots=True)
class Wish:
    """A change that has been written down: its key, and whether it was asked for before."""

    id: UUID
    key: str
    is_repeat: bool


Step = Callable[[StripeSubscription, Wish], Awaitable[StripeSubscription]]
"""Asks Stripe for one change of a subscription, under the key of its wish."""


class ChangeService:
    """Each change is written down with its key, asked of Stripe, and then mirrored."""

    def __init__(
        self,
        work: UnitOfWork,
        changes: ChangeRepository,
        subscriptions: SubscriptionRepository,
        mirror: SubscriptionMirror,
        catalogs: CatalogService,
        stripe: StripeGateway,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._changes = changes
        self._subscriptions = subscriptions
        self._mirror = mirror
        self._catalogs = catalogs
        self._stripe = stripe
        self._audit = audit
        self._clock = clock

    async def preview(
        self, organization_id: OrganizationId, plan: str, interval: str | None
    ) -> ChangePreview:
        """What `change` would bill, and when it would hold; changes nothing."""
        subscription = await self._stripe.get_subscription(await self._held(organization_id))
        wanted, way = self._wanted(subscription, plan, interval)
        if way is Direction.SAME:
            raise SamePlan
        changes = item_changes(self._catalogs.active, subscription, wanted)
        is_billed = way is Direction.UPGRADE and subscription.status != "trialing"
        invoice = await self._stripe.preview(subscription.id, changes, is_billed=is_billed)
        period = subscription.period
        is_later = way is Direction.DOWNGRADE and subscription.status != "trialing"
        effective_at = period.end if is_later and period is not None else self._clock.now()
        return _preview(way, invoice, effective_at)

    async def upcoming(self, organization_id: OrganizationId) -> ChangePreview:
        """What the next renewal will bill, as far as it is known today."""
        subscription = await self._stripe.get_subscription(await self._held(organization_id))
        invoice = await self._stripe.preview(subscription.id)
        due_at = subscription.period.end if subscription.period else self._clock.now()
        return _preview(Direction.SAME, invoice, due_at)

    async def change(
        self, organization_id: OrganizationId, plan: str, interval: str | None
    ) -> ChangeResult:
        """Move to another plan or interval.

        A better one is billed at once and holds when it is paid; a lesser one holds from the end
        of the period, and asking for the present one takes that back. During a trial nothing is
        owed, so either holds at once. Raises `SamePlan`, `PaymentOutstanding`,
        `CancellationScheduled`, `NoSubscription`, `UnknownPlan`, `PlanNotForSale`.
        """
        details = {"plan": plan, "interval": interval}

        async def step(before: StripeSubscription, wish: Wish) -> StripeSubscription:
            wanted, way = self._wanted(before, plan, interval)
            if before.status in _UNPAID:
                raise PaymentOutstanding
            if before.cancel_at is not None or before.cancel_at_period_end:
                raise CancellationScheduled
            if self._waits_for(before, wanted):
                return before  # asking twice must not bill twice
            is_scheduled = before.schedule is not None and before.schedule.is_in_force
            if way is Direction.SAME and not is_scheduled:
                if wish.is_repeat:
                    return before  # it was done the first time, and the answer was lost
                raise SamePlan
            await self._release(before, wish.key)
            if way is Direction.SAME:
                return await self._stripe.get_subscription(before.id)
            return await self._move(before, wanted, way, wish.key)

        after = await self._request(organization_id, "change", details, step)
        return self._result(after, price_of(self._catalogs.active, plan, interval or "month"))

    async def cancel(
        self, organization_id: OrganizationId, *, at_period_end: bool, reason: str | None
    ) -> ChangeResult:
        """End the subscription, by default when what was paid for runs out."""

        async def step(before: StripeSubscription, wish: Wish) -> StripeSubscription:
            if before.status in ENDED:
                return before
            await self._put_aside(organization_id, before, wish)
            await self._release(before, wish.key)
            cancel = self._stripe.cancel_now
            if at_period_end and before.status != "unpaid":
                cancel = self._stripe.cancel_at_period_end
            return await cancel(before.id, comment=reason, key=wish.key)

        details = {"at_period_end": at_period_end, "reason": reason}
        after = await self._request(organization_id, "cancel", details, step)
        if after.status in ENDED:
            return ChangeResult(ChangeOutcome.APPLIED, after.ended_at)
        return ChangeResult(ChangeOutcome.SCHEDULED, after.cancel_at)

    async def resume(self, organization_id: OrganizationId) -> ChangeResult:
        """Take back a scheduled cancellation, however it was scheduled, or start after a pause.

        A lesser plan that had been chosen for the period's end before the cancellation is chosen
        again. Raises `NothingToResume`, or `SubscriptionEnded` when it is over.
        """

        async def step(before: StripeSubscription, wish: Wish) -> StripeSubscription:
            if before.status in ENDED:
                raise SubscriptionEnded
            if before.status == "paused":
                return await self._stripe.resume_paused(before.id, key=wish.key)
            if before.cancel_at is None and not before.cancel_at_period_end:
                if before.pause is not None:
                    return await self._stripe.resume_collection(before.id, key=wish.key)
                if not wish.is_repeat:
                    raise NothingToResume
                # Done the first time, perhaps not to the end, and the answer was lost.
                return await self._choose_again(organization_id, before, wish.key)
            # A schedule that ends in a cancellation refuses a direct change; it goes first.
            await self._release(before, wish.key)
            after = await self._stripe.undo_cancellation(before, key=wish.key)
            return await self._choose_again(organization_id, after, wish.key)

        after = await self._request(organization_id, "resume", {}, step)
        outcome = ChangeOutcome.PENDING if after.status == "paused" else ChangeOutcome.APPLIED
        return ChangeResult(outcome, None)

    async def _move(
        self, before: StripeSubscription, wanted: Price, way: Direction, key: str
    ) -> StripeSubscription:
        catalog = self._catalogs.active
        is_trial = before.status == "trialing"
        if way is Direction.UPGRADE or is_trial:
            changes = item_changes(catalog, before, wanted)
            return await self._stripe.change_items(
                before.id, changes, is_billed=not is_trial, key=key
            )
        prices = ordered_prices(catalog, wanted.plan, wanted.interval)
        return await self._stripe.schedule_items(before, prices, key=key)

    async def _release(self, subscription: StripeSubscription, key: str) -> None:
        schedule = subscription.schedule
        if schedule is not None and schedule.is_in_force:
            await self._stripe.release_schedule(schedule.id, key=f"{key}:release")

    async def _put_aside(
        self, organization_id: OrganizationId, before: StripeSubscription, wish: Wish
    ) -> None:
        """Remember which plan was to follow: Stripe forgets it with the schedule."""
        coming = coming_plan(self._catalogs.active, before)
        if coming is None or before.period is None:
            return
        plan, interval = coming
        aside = {"plan": plan, "interval": interval, "at": before.period.end.isoformat()}
        async with self._work.begin(organization_id):
            await self._changes.put_aside(organization_id, wish.id, aside)

    async def _choose_again(
        self, organization_id: OrganizationId, after: StripeSubscription, key: str
    ) -> StripeSubscription:
        """Schedule what a cancellation of this very period had put aside."""
        if after.period is None or (after.schedule is not None and after.schedule.is_in_force):
            return after
        async with self._work.begin(organization_id):
            aside = await self._changes.find_aside(organization_id, after.id)
        if aside is None or aside["at"] != after.period.end.isoformat():
            return after
        try:
            prices = ordered_prices(self._catalogs.active, aside["plan"], aside["interval"])
        except (UnknownPlan, PlanNotForSale):
            return after  # it is not sold any more; the present plan goes on
        return await self._stripe.schedule_items(after, prices, key=f"{key}:again")

    def _wanted(
        self, subscription: StripeSubscription, plan: str, interval: str | None
    ) -> tuple[Price, Direction]:
        catalog = self._catalogs.active
        current = current_price(catalog, subscription)
        wanted = price_of(catalog, plan, interval or current.interval)
        ordered_prices(catalog, wanted.plan, wanted.interval)
        return wanted, direction(current, wanted)

    def _waits_for(self, before: StripeSubscription, wanted: Price) -> bool:
        """Whether this very change is under way already and waits for its payment."""
        price_id = self._catalogs.active.price_id(wanted.plan, wanted.interval)
        return before.pending_update is not None and price_id in before.pending_update.price_ids

    def _result(self, after: StripeSubscription, wanted: Price) -> ChangeResult:
        if after.pending_update is not None:
            return ChangeResult(ChangeOutcome.PENDING, None)
        if current_price(self._catalogs.active, after).plan == wanted.plan and (
            after.schedule is None or not after.schedule.is_in_force
        ):
            return ChangeResult(ChangeOutcome.APPLIED, self._clock.now())
        return ChangeResult(ChangeOutcome.SCHEDULED, after.period.end if after.period else None)

    async def _held(self, organization_id: OrganizationId) -> str:
        """The subscription that counts, as Stripe names it. Raises `NoSubscription`."""
        async with self._work.begin(organization_id):
            rows = await self._subscriptions.list_for_organization(organization_id)
        live = [row for row in rows if row.status in LIVE and not row.is_duplicate]
        if live:
            return live[-1].stripe_subscription_id
        if any(row.status in ENDED for row in rows):
            raise SubscriptionEnded
        raise NoSubscription

    async def _request(
        self, organization_id: OrganizationId, kind: str, details: dict[str, Any], step: Step
    ) -> StripeSubscription:
        """Reserve, call, settle. The same wish after a lost answer repeats under the same key."""
        held = await self._held(organization_id)
        wish = await self._reserve(organization_id, kind, held, details)
        async with self._settled(organization_id, wish):
            before = await self._stripe.get_subscription(held)
            ticket = await self._mirror.take_ticket()
            after = await step(before, wish)
        async with self._work.begin(organization_id):
            await self._changes.settle(organization_id, wish.id, {"state": "settled"})
            await self._mirror.take(organization_id, Report(after, ticket))
            self._audit.record(
                f"subscriptions.{kind}_requested",
                held,
                organization_id=organization_id,
                after={**details, "status": after.status},
            )
        return after

    @asynccontextmanager
    async def _settled(self, organization_id: OrganizationId, wish: Wish) -> AsyncIterator[None]:
        """An answered refusal ends the change; an answer that was lost leaves it to be repeated."""
        try:
            yield
        except Unavailable:
            raise
        except BillingError:
            async with self._work.begin(organization_id):
                await self._changes.settle(organization_id, wish.id, {"state": "failed"})
            raise

    async def _reserve(
        self, organization_id: OrganizationId, kind: str, held: str, details: dict[str, Any]
    ) -> Wish:
        now = self._clock.now()
        async with self._work.begin(organization_id):
            await self._subscriptions.lock(organization_id)
            rival = await self._changes.find_under_way(organization_id)
            if rival is not None:
                same = (rival.kind, rival.stripe_subscription_id, rival.wish) == (
                    kind,
                    held,
                    details,
                )
                if same:
                    return Wish(rival.id, rival.idempotency_key, is_repeat=True)
                if rival.leased_until > now:
                    raise ChangeInProgress
                rival.state = "abandoned"
                await self._work.session.flush()
            change = RequestedChange(
                organization_id=organization_id,
                id=new_id(),
                kind=kind,
                stripe_subscription_id=held,
                details=details,
                state="reserved",
                requested_at=now,
                leased_until=now + LEASE,
            )
            self._changes.add(change)
            return Wish(change.id, change.idempotency_key, is_repeat=False)


def _preview(way: Direction, invoice: StripeInvoice, effective_at: datetime) -> ChangePreview:
    return ChangePreview(
        direction=way,
        lines=tuple(
            PreviewLine(
                line.description, line.amount, line.currency, line.period, line.is_proration
            )
            for line in invoice.lines
        ),
        amount_due=invoice.amount_due,
        currency=invoice.currency,
        effective_at=effective_at,
    )
