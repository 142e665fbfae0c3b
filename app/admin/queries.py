"""Reading across organizations; nothing here writes."""

from __future__ import annotations

import base64
import binascii
import struct
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Select,
    Text,
    Uuid,
    cast,
    exists,
    func,
    literal,
    null,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)

from app.admin.domain import (
    EARNING,
    TRIALING,
    AuditRow,
    Charge,
    Counted,
    Customer,
    InvoiceRow,
    MonthOfUse,
    PlatformUser,
    SoldSubscription,
    SubscriptionRow,
    UserMembership,
)
from app.audit.models import AuditEntry, PlatformAuditEntry
from app.infra.db.repository import MalformedCursor, Repository, decode_cursor, encode_cursor
from app.invoices.domain import InvoiceOrigin, InvoiceStatus
from app.invoices.models import Invoice, InvoiceLine, InvoicePayment, InvoiceRequest
from app.kernel.ids import OrganizationId, UserId
from app.kernel.pages import Page, PageRequest
from app.organizations.domain import Role
from app.organizations.models import Membership, Organization
from app.payments.models import Charge as StripeCharge
from app.subscriptions.models import Subscription
from app.usage.models import UsageMonth
from app.users.models import User

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = struct.Struct(">q16s")

Book = type[AuditEntry] | type[PlatformAuditEntry]


class AdminQueries(Repository):
    """Everything operators look at. A list begins with `hold_still`, so its total fits its rows."""

    platform = True

    async def hold_still(self) -> None:
        """See one moment of the database until the unit ends. Call it first in a unit."""
        await self.session.execute(
            text("set transaction isolation level repeatable read, read only")
        )

    async def count_organizations_by_tier(self) -> dict[str, int]:
        found = await self.session.execute(
            select(Organization.plan, func.count()).group_by(Organization.plan)
        )
        return dict(found.all())

    async def list_sold(self) -> list[SoldSubscription]:
        """Every subscription that earns or is being tried, counted by what it is."""
        kind = (
            Subscription.plan,
            Subscription.status,
            Subscription.amount,
            Subscription.currency,
            Subscription.interval,
        )
        found = await self.session.execute(
            select(*kind, func.count())
            .where(Subscription.status.in_((*EARNING, TRIALING)))
            .group_by(*kind)
        )
        return [SoldSubscription(*row) for row in found]

    async def list_customers(self, request: PageRequest) -> Counted[Customer]:
        query = select(Organization)
        page = await self.page(query, request, Organization.id, lambda row: row.id)
        owners = await self._owners([row.id for row in page.items])
        members = await self._member_counts([row.id for row in page.items])

        def shown(row: Organization) -> Customer:
            owner = owners.get(row.id)
            return Customer(
                id=OrganizationId(row.id),
                name=row.name,
                slug=row.slug,
                tier=row.plan,
                stripe_customer_id=row.stripe_customer_id,
                is_suspended=row.is_suspended,
                created_at=row.created_at,
                members=members.get(row.id, 0),
                owner_id=UserId(owner.id) if owner else None,
                email=owner.email if owner else None,
            )

        return Counted(page.map(shown), await self._count(query))

    async def list_subscriptions(
        self, request: PageRequest, status: str | None
    ) -> Counted[SubscriptionRow]:
        query = select(Subscription)
        if status is not None:
            query = query.where(Subscription.status == status)
        page = await self.page(query, request, Subscription.id, lambda row: row.id)
        return Counted(page.map(_subscription), await self._count(query))

    async def list_charges(self, request: PageRequest) -> Counted[Charge]:
        """By the moment at which it happened, newest first."""
        every = union_all(_charges(), _paid_otherwise(), _transferred()).subquery()
        query = (
            select(every)
            .order_by(every.c.happened_at.desc(), every.c.id.desc())
            .limit(request.limit + 1)
        )
        if request.cursor is not None:
            place = tuple_(every.c.happened_at, every.c.id)
            query = query.where(place < tuple_(*_decode_moment(request.cursor)))
        rows = [Charge(*row) for row in (await self.session.execute(query)).all()]
        charges = rows[: request.limit]
        more = len(rows) > request.limit
        cursor = _encode_moment(charges[-1].happened_at, charges[-1].id) if more else None
        return Counted(Page(charges, cursor), await self._count(select(every.c.id)))

    async def list_invoices(
        self, request: PageRequest, status: InvoiceStatus | None
    ) -> Counted[InvoiceRow]:
        query = select(Invoice)
        if status is not None:
            query = query.where(Invoice.status == status.value)
        page = await self.page(query, request, Invoice.id, lambda row: row.id)
        names = await self._names([row.organization_id for row in page.items])

        def shown(row: Invoice) -> InvoiceRow:
            return _invoice(row, names[row.organization_id])

        return Counted(page.map(shown), await self._count(query))

    async def list_users(self, request: PageRequest, month: str) -> Counted[PlatformUser]:
        """People with everything they belong to; *month* is `2026-11`."""
        query = select(User)
        page = await self.page(query, request, User.id, lambda row: row.id)
        memberships = await self._memberships([row.id for row in page.items], month)

        def shown(row: User) -> PlatformUser:
            return PlatformUser(
                id=UserId(row.id),
                email=row.email,
                name=row.name,
                is_operator=row.is_operator,
                is_suspended=row.suspended_at is not None,
                is_verified=row.email_verified_at is not None,
                created_at=row.created_at,
                last_login_at=row.last_login_at,
                organizations=tuple(memberships[row.id]),
            )

        return Counted(page.map(shown), await self._count(query))

    async def list_audit(
        self, request: PageRequest, organization_id: OrganizationId | None, action: str | None
    ) -> Page[AuditRow]:
        """Both books in one list, newest first; with an organization, its own only."""
        own = _entries(AuditEntry, AuditEntry.organization_id)
        books: list[tuple[Book, Select[Any]]] = [(AuditEntry, own)]
        if organization_id is not None:
            books = [(AuditEntry, own.where(AuditEntry.organization_id == organization_id))]
        else:
            books.append((PlatformAuditEntry, _entries(PlatformAuditEntry, cast(null(), Uuid))))
        before = decode_cursor(request.cursor) if request.cursor is not None else None
        # Each book gives at most a page, so neither is read whole to be merged.
        pages = [
            query.where(
                true() if action is None else book.action == action,
                true() if before is None else book.id < before,
            )
            .order_by(book.id.desc())
            .limit(request.limit + 1)
            .subquery()
            for book, query in books
        ]
        merged = union_all(*(select(page) for page in pages)).subquery()
        found = await self.session.execute(
            select(merged).order_by(merged.c.id.desc()).limit(request.limit + 1)
        )
        rows = [AuditRow(*row) for row in found.all()]
        entries = rows[: request.limit]
        more = len(rows) > request.limit
        return Page(entries, encode_cursor(entries[-1].id) if more else None)

    async def _count(self, query: Select[Any]) -> int:
        counted = select(func.count()).select_from(query.order_by(None).subquery())
        return await self.session.scalar(counted) or 0

    async def _owners(self, organization_ids: Sequence[UUID]) -> dict[UUID, User]:
        found = await self.session.execute(
            select(Membership.organization_id, User)
            .join(User, User.id == Membership.user_id)
            .where(
                Membership.organization_id.in_(organization_ids),
                Membership.role == Role.OWNER.value,
            )
            .order_by(Membership.joined_at.desc(), Membership.user_id.desc())
        )
        # The oldest owner comes last and stays.
        return dict(found.all())

    async def _member_counts(self, organization_ids: Sequence[UUID]) -> dict[UUID, int]:
        found = await self.session.execute(
            select(Membership.organization_id, func.count())
            .where(Membership.organization_id.in_(organization_ids))
            .group_by(Membership.organization_id)
        )
        return dict(found.all())

    async def _names(self, organization_ids: Sequence[UUID]) -> dict[UUID, str]:
        found = await self.session.execute(
            select(Organization.id, Organization.name).where(Organization.id.in_(organization_ids))
        )
        return dict(found.all())

    async def _memberships(
        self, user_ids: Sequence[UUID], month: str
    ) -> dict[UUID, list[UserMembership]]:
        found = await self.session.execute(
            select(Membership, Organization, UsageMonth)
            .join(Organization, Organization.id == Membership.organization_id)
            .outerjoin(
                UsageMonth,
                (UsageMonth.organization_id == Membership.organization_id)
                & (UsageMonth.month == month),
            )
            .where(Membership.user_id.in_(user_ids))
            .order_by(Membership.joined_at, Membership.organization_id)
        )
        grouped: dict[UUID, list[UserMembership]] = defaultdict(list)
        for membership, organization, used in found:
            grouped[membership.user_id].append(
                UserMembership(
                    organization_id=OrganizationId(organization.id),
                    name=organization.name,
                    role=membership.role,
                    tier=organization.plan,
                    usage=_month_of_use(used),
                )
            )
        return grouped


def _entries(book: type[AuditEntry | PlatformAuditEntry], tenant: Any) -> Select[Any]:
    return select(
        book.id,
        tenant.label("organization_id"),
        book.occurred_at,
        book.actor,
        book.action,
        book.target,
        book.before,
        book.after,
        book.reason,
        book.request_id,
    )


def _month_of_use(used: UsageMonth | None) -> MonthOfUse:
    if used is None:
        return MonthOfUse()
    return MonthOfUse(
        debates=used.debates,
        api_calls=used.api_calls,
        total_tokens=used.total_tokens,
        total_cost_usd=used.total_cost,
        events=used.events,
    )


def _subscription(row: Subscription) -> SubscriptionRow:
    return SubscriptionRow(
        id=row.id,
        organization_id=OrganizationId(row.organization_id),
        stripe_subscription_id=row.stripe_subscription_id,
        stripe_customer_id=row.stripe_customer_id,
        plan=row.plan,
        status=row.status,
        amount=row.amount,
        currency=row.currency,
        interval=row.interval,
        current_period_start=row.period_start,
        current_period_end=row.period_end,
        cancel_at_period_end=row.cancel_at_period_end,
        cancel_at=row.cancel_at,
        trial_end=row.trial_end,
        created_at=row.created_at,
    )


def _invoice(row: Invoice, organization_name: str) -> InvoiceRow:
    return InvoiceRow(
        id=row.id,
        organization_id=OrganizationId(row.organization_id),
        organization_name=organization_name,
        origin=row.origin,
        stripe_invoice_id=row.stripe_invoice_id,
        number=row.number,
        status=row.status,
        billing_reason=row.billing_reason,
        currency=row.currency,
        total=row.total,
        amount_due=row.amount_due,
        amount_paid=row.amount_paid,
        amount_remaining=row.amount_remaining,
        created_at=row.created_at,
        paid_at=row.paid_at,
        hosted_invoice_url=row.hosted_invoice_url,
    )


def _first_line(invoice_id: Any) -> Any:
    return (
        select(InvoiceLine.description)
        .where(
            InvoiceLine.organization_id == Invoice.organization_id,
            InvoiceLine.invoice_id == invoice_id,
            InvoiceLine.position == 0,
        )
        .scalar_subquery()
    )


def _charges() -> Select[Any]:
    """Stripe's charges, beside the invoices that they are for, Stripe's or ours."""
    asked_for = (InvoiceRequest.organization_id == StripeCharge.organization_id) & (
        InvoiceRequest.stripe_invoice_id == StripeCharge.stripe_invoice_id
    )
    paid_for = (Invoice.organization_id == StripeCharge.organization_id) & or_(
        Invoice.stripe_invoice_id == StripeCharge.stripe_invoice_id,
        Invoice.id == InvoiceRequest.invoice_id,
    )
    return (
        select(
            StripeCharge.id,
            StripeCharge.organization_id,
            StripeCharge.stripe_charge_id,
            StripeCharge.stripe_customer_id,
            Invoice.number,
            StripeCharge.amount,
            StripeCharge.amount_refunded,
            StripeCharge.currency,
            StripeCharge.status,
            func.coalesce(_first_line(Invoice.id), StripeCharge.description).label("description"),
            StripeCharge.created_at.label("happened_at"),
        )
        .outerjoin(InvoiceRequest, asked_for)
        .outerjoin(Invoice, paid_for)
    )


def _paid_otherwise() -> Select[Any]:
    """Stripe's invoices that were paid with more than nothing, by no charge that is known."""
    charged = exists().where(
        StripeCharge.organization_id == Invoice.organization_id,
        StripeCharge.stripe_invoice_id == Invoice.stripe_invoice_id,
        StripeCharge.status == "succeeded",
    )
    return _paid(Invoice.id, Invoice.amount_paid, Invoice.paid_at).where(
        Invoice.origin == InvoiceOrigin.STRIPE.value,
        Invoice.status == InvoiceStatus.PAID.value,
        Invoice.paid_at.is_not(None),
        Invoice.amount_paid > 0,
        ~charged,
    )


def _transferred() -> Select[Any]:
    """What came in for invoices of ours past Stripe."""
    return (
        _paid(InvoicePayment.id, InvoicePayment.amount, InvoicePayment.received_at)
        .join(
            InvoicePayment,
            (InvoicePayment.organization_id == Invoice.organization_id)
            & (InvoicePayment.invoice_id == Invoice.id),
        )
        .where(InvoicePayment.method == "transfer")
    )


def _paid(row_id: Any, amount: Any, at: Any) -> Select[Any]:
    return (
        select(
            row_id.label("id"),
            Invoice.organization_id,
            cast(null(), Text).label("stripe_charge_id"),
            Organization.stripe_customer_id,
            Invoice.number,
            amount.label("amount"),
            cast(literal(0), BigInteger).label("amount_refunded"),
            Invoice.currency,
            literal("succeeded").label("status"),
            _first_line(Invoice.id).label("description"),
            at.label("happened_at"),
        )
        .select_from(Invoice)
        .join(Organization, Organization.id == Invoice.organization_id)
    )


def _encode_moment(instant: datetime, row_id: UUID) -> str:
    micros = (instant - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_MOMENT.pack(micros, row_id.bytes)).decode()


def _decode_moment(cursor: str) -> tuple[datetime, UUID]:
    """Raises `MalformedCursor`."""
    try:
        micros, raw = _MOMENT.unpack(base64.b64decode(cursor, altchars=b"-_", validate=True))
        return _EPOCH + timedelta(microseconds=micros), UUID(bytes=raw)
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise MalformedCursor from None
