"""The tables of `models.py`, in and out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.locks import advisory_lock
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.kernel.periods import Period
from app.subscriptions.domain import GRANTING, Failure
from app.subscriptions.models import (
    PUT_ASIDE,
    SYNC_TICKETS,
    CardNotice,
    CheckoutAttempt,
    CustomerRegistration,
    InvoiceCollection,
    ManualPlan,
    PaidPeriod,
    RequestedChange,
    Subscription,
)

IN_PLAY = ("reserved", "open")


class SubscriptionRepository(Repository):
    """The mirror, the failures and the paid periods."""

    async def take_ticket_for_platform(self) -> int:
        """The next number of all; a later question to Stripe always has a higher one."""
        return int(await self.session.scalar(select(SYNC_TICKETS.next_value())) or 0)

    async def lock(self, organization_id: OrganizationId) -> None:
        """Let one writer at a time decide what an organization holds.

        The rows alone would not do: two subscriptions that appear at once lock different rows,
        and neither decision would see the other.
        """
        await advisory_lock(self.session, "subscriptions", organization_id)

    async def list_for_organization(self, organization_id: OrganizationId) -> list[Subscription]:
        query = (
            select(Subscription)
            .where(Subscription.organization_id == organization_id)
            .order_by(Subscription.created_at, Subscription.id)
        )
        return list((await self.session.scalars(query)).all())

    async def find(
        self, organization_id: OrganizationId, stripe_subscription_id: str
    ) -> Subscription | None:
        query = select(Subscription).where(
            Subscription.organization_id == organization_id,
            Subscription.stripe_subscription_id == stripe_subscription_id,
        )
        return await self.session.scalar(query)

    async def find_collection(
        self, organization_id: OrganizationId, stripe_invoice_id: str
    ) -> InvoiceCollection | None:
        query = select(InvoiceCollection).where(
            InvoiceCollection.organization_id == organization_id,
            InvoiceCollection.stripe_invoice_id == stripe_invoice_id,
        )
        return await self.session.scalar(query)

    def add(self, row: Subscription | InvoiceCollection) -> None:
        self.session.add(row)

    async def list_failures(
        self, organization_id: OrganizationId, stripe_subscription_id: str
    ) -> list[Failure]:
        """Invoices that failed and are owed still, the oldest failure first."""
        query = (
            select(InvoiceCollection)
            .where(
                InvoiceCollection.organization_id == organization_id,
                InvoiceCollection.stripe_subscription_id == stripe_subscription_id,
                InvoiceCollection.settled_at.is_(None),
                InvoiceCollection.first_failed_at.is_not(None),
            )
            .order_by(InvoiceCollection.first_failed_at)
        )
        return [
            Failure(row.billing_reason, row.first_failed_at, row.pay_url)
            for row in (await self.session.scalars(query)).all()
            if row.first_failed_at is not None
        ]

    async def open_period(
        self,
        organization_id: OrganizationId,
        stripe_subscription_id: str,
        stripe_invoice_id: str,
        period: Period,
        at: datetime,
    ) -> bool:
        """Note that *period* was paid for; says whether this is news."""
        result = await self.session.execute(
            insert(PaidPeriod)
            .values(
                organization_id=organization_id,
                id=new_id(),
                stripe_subscription_id=stripe_subscription_id,
                stripe_invoice_id=stripe_invoice_id,
                starts_at=period.start,
                ends_at=period.end,
                opened_at=at,
            )
            .on_conflict_do_nothing(
                index_elements=["organization_id", "stripe_subscription_id", "starts_at"]
            )
            .returning(PaidPeriod.id)
        )
        return result.first() is not None

    async def find_latest_period(
        self, organization_id: OrganizationId, stripe_subscription_id: str
    ) -> Period | None:
        query = (
            select(PaidPeriod)
            .where(
                PaidPeriod.organization_id == organization_id,
                PaidPeriod.stripe_subscription_id == stripe_subscription_id,
            )
            .order_by(PaidPeriod.starts_at.desc())
            .limit(1)
        )
        found = await self.session.scalar(query)
        return Period(found.starts_at, found.ends_at) if found else None

    async def list_paying_for_platform(self) -> list[OrganizationId]:
        """Organizations that will be charged again."""
        query = (
            select(Subscription.organization_id).where(Subscription.status.in_(GRANTING)).distinct()
        )
        return [OrganizationId(found) for found in (await self.session.scalars(query)).all()]

    async def note_card(
        self, organization_id: OrganizationId, method_id: str, year: int, month: int, at: datetime
    ) -> bool:
        """Note that a card's end is announced; says whether this is news."""
        result = await self.session.execute(
            insert(CardNotice)
            .values(
                organization_id=organization_id,
                id=new_id(),
                stripe_payment_method_id=method_id,
                exp_year=year,
                exp_month=month,
                announced_at=at,
            )
            .on_conflict_do_nothing(
                index_elements=[
                    "organization_id",
                    "stripe_payment_method_id",
                    "exp_year",
                    "exp_month",
                ]
            )
            .returning(CardNotice.id)
        )
        return result.first() is not None


class RegistrationRepository(Repository):
    """Who is to be a customer at Stripe."""

    async def reserve(
        self, organization_id: OrganizationId, name: str, email: str | None, at: datetime
    ) -> CustomerRegistration:
        """The organization's current registration, made now if there is none."""
        await self.session.execute(
            insert(CustomerRegistration)
            .values(
                organization_id=organization_id,
                id=new_id(),
                name=name,
                email=email,
                is_current=True,
                created_at=at,
            )
            .on_conflict_do_nothing(
                index_elements=["organization_id"], index_where=text("is_current")
            )
        )
        query = select(CustomerRegistration).where(
            CustomerRegistration.organization_id == organization_id,
            CustomerRegistration.is_current,
        )
        return (await self.session.scalars(query)).one()

    async def record(
        self, organization_id: OrganizationId, registration_id: UUID, stripe_customer_id: str
    ) -> None:
        await self.session.execute(
            update(CustomerRegistration)
            .where(
                CustomerRegistration.organization_id == organization_id,
                CustomerRegistration.id == registration_id,
            )
            .values(stripe_customer_id=stripe_customer_id)
        )

    async def retire(
        self, organization_id: OrganizationId, stripe_customer_id: str, name: str, at: datetime
    ) -> None:
        """End the registration of a customer whom Stripe no longer has, and keep whose it was."""
        result = await self.session.execute(
            update(CustomerRegistration)
            .where(
                CustomerRegistration.organization_id == organization_id,
                CustomerRegistration.stripe_customer_id == stripe_customer_id,
            )
            .values(is_current=False)
            .returning(CustomerRegistration.id)
        )
        if result.first() is None:
            # Tied by an operator or an import: there was no wish of ours to begin with.
            self.session.add(
                CustomerRegistration(
                    organization_id=organization_id,
                    id=new_id(),
                    name=name,
                    email=None,
                    stripe_customer_id=stripe_customer_id,
                    is_current=False,
                    created_at=at,
                )
            )


class CheckoutRepository(Repository):
    """Visits to the payment page."""

    def add(self, attempt: CheckoutAttempt) -> None:
        self.session.add(attempt)

    async def get(self, organization_id: OrganizationId, attempt_id: UUID) -> CheckoutAttempt:
        query = select(CheckoutAttempt).where(
            CheckoutAttempt.organization_id == organization_id, CheckoutAttempt.id == attempt_id
        )
        return (await self.session.scalars(query)).one()

    async def find_in_play(self, organization_id: OrganizationId) -> CheckoutAttempt | None:
        query = select(CheckoutAttempt).where(
            CheckoutAttempt.organization_id == organization_id,
            CheckoutAttempt.state.in_(IN_PLAY),
        )
        return await self.session.scalar(query)

    async def move(
        self,
        organization_id: OrganizationId,
        attempt_id: UUID,
        state: str,
        **values: Any,
    ) -> None:
        """Take an attempt that is in play to *state*; one that is not stays what it is."""
        await self.session.execute(
            update(CheckoutAttempt)
            .where(
                CheckoutAttempt.organization_id == organization_id,
                CheckoutAttempt.id == attempt_id,
                CheckoutAttempt.state.in_(IN_PLAY),
            )
            .values(state=state, **values)
        )

    async def find_by_session(
        self, organization_id: OrganizationId, stripe_session_id: str
    ) -> CheckoutAttempt | None:
        query = select(CheckoutAttempt).where(
            CheckoutAttempt.organization_id == organization_id,
            CheckoutAttempt.stripe_session_id == stripe_session_id,
        )
        return await self.session.scalar(query)

    async def settle_session(
        self,
        organization_id: OrganizationId,
        stripe_session_id: str,
        state: str,
        stripe_subscription_id: str | None,
    ) -> None:
        await self.session.execute(
            update(CheckoutAttempt)
            .where(
                CheckoutAttempt.organization_id == organization_id,
                CheckoutAttempt.stripe_session_id == stripe_session_id,
                CheckoutAttempt.state.in_(IN_PLAY),
            )
            .values(state=state, stripe_subscription_id=stripe_subscription_id)
        )

    async def note_failure(self, organization_id: OrganizationId, stripe_session_id: str) -> None:
        await self.session.execute(
            update(CheckoutAttempt)
            .where(
                CheckoutAttempt.organization_id == organization_id,
                CheckoutAttempt.stripe_session_id == stripe_session_id,
            )
            .values(has_failed=True)
        )

    async def has_completed_with_trial(self, organization_id: OrganizationId) -> bool:
        query = select(CheckoutAttempt.id).where(
            CheckoutAttempt.organization_id == organization_id,
            CheckoutAttempt.state == "complete",
            CheckoutAttempt.trial_days > 0,
        )
        return await self.session.scalar(query.limit(1)) is not None


class ChangeRepository(Repository):
    """Changes that were asked for."""

    async def find_under_way(self, organization_id: OrganizationId) -> RequestedChange | None:
        query = (
            select(RequestedChange)
            .where(
                RequestedChange.organization_id == organization_id,
                RequestedChange.state == "reserved",
            )
            .with_for_update()
        )
        return await self.session.scalar(query)

    def add(self, change: RequestedChange) -> None:
        self.session.add(change)

    async def settle(
        self, organization_id: OrganizationId, change_id: UUID, values: Mapping[str, Any]
    ) -> None:
        await self.session.execute(
            update(RequestedChange)
            .where(
                RequestedChange.organization_id == organization_id,
                RequestedChange.id == change_id,
                RequestedChange.state == "reserved",
            )
            .values(**values)
        )

    async def put_aside(
        self, organization_id: OrganizationId, change_id: UUID, aside: Mapping[str, Any]
    ) -> None:
        change = await self.session.get_one(RequestedChange, (organization_id, change_id))
        change.details = {**change.details, PUT_ASIDE: dict(aside)}

    async def find_aside(
        self, organization_id: OrganizationId, stripe_subscription_id: str
    ) -> Mapping[str, Any] | None:
        """What the last cancellation that put anything aside has kept."""
        details = await self.session.scalar(
            select(RequestedChange.details)
            .where(
                RequestedChange.organization_id == organization_id,
                RequestedChange.stripe_subscription_id == stripe_subscription_id,
                RequestedChange.details.has_key(PUT_ASIDE),
            )
            .order_by(RequestedChange.id.desc())
            .limit(1)
        )
        found: Mapping[str, Any] | None = details[PUT_ASIDE] if details is not None else None
        return found


class ManualPlanRepository(Repository):
    """Plans that operators gave."""

    def add(self, plan: ManualPlan) -> None:
        self.session.add(plan)

    async def find_in_force(
        self, organization_id: OrganizationId, at: datetime
    ) -> ManualPlan | None:
        """The plan that counts at *at*: the one that was given last."""
        query = (
            select(ManualPlan)
            .where(
                ManualPlan.organization_id == organization_id,
                ManualPlan.withdrawn_at.is_(None),
                ManualPlan.ends_at > at,
            )
            .order_by(ManualPlan.id.desc())
            .limit(1)
        )
        return await self.session.scalar(query)

    async def withdraw(self, organization_id: OrganizationId, at: datetime) -> None:
        """End whatever was given before *at* and would go on."""
        await self.session.execute(
            update(ManualPlan)
            .where(
                ManualPlan.organization_id == organization_id,
                ManualPlan.withdrawn_at.is_(None),
                ManualPlan.ends_at > at,
            )
            .values(withdrawn_at=at)
        )
