"""The operators' API. Every path answers 403 to everyone else."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from app.admin.errors import NoOutbox
from app.admin.schemas import (
    AdminInvoiceOut,
    AdminSubscriptionOut,
    AdminUserOut,
    AuditEntryOut,
    BillingStatsOut,
    ChargeOut,
    CountedPageOut,
    CustomerOut,
    KeptMailOut,
    ReplayedOut,
    StripeEventOut,
)
from app.admin.service import AdminService
from app.gateways.mail.outbox import OutboxMail
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import Services, provide
from app.infra.http.schemas import PageOut, Paging, prefixed_id
from app.invoices.domain import InvoiceStatus
from app.webhooks.domain import EventFilter, EventState
from app.webhooks.service.inbox import StripeInbox

router = APIRouter(prefix="/admin", tags=["admin"], route_class=IdempotentRoute)

Desk = Annotated[AdminService, provide(AdminService)]
Inbox = Annotated[StripeInbox, provide(StripeInbox)]
Status = Annotated[str | None, Query(max_length=50)]


@router.get("/billing/stats", response_model=BillingStatsOut)
async def get_billing_stats(operator: CurrentOperator, desk: Desk) -> BillingStatsOut:
    """Customers, subscriptions and recurring revenue a month, in minor units, in all and by tier.

    Revenue is the fee of active and past-due subscriptions, a year's divided by twelve, before
    discounts and without metered usage. Trials are counted apart and earn nothing yet.
    """
    return BillingStatsOut.from_domain(await desk.stats())


@router.get("/billing/customers", response_model=CountedPageOut[CustomerOut])
async def list_customers(
    operator: CurrentOperator, desk: Desk, paging: Paging
) -> CountedPageOut[CustomerOut]:
    """Every organization, newest first."""
    return CountedPageOut.of(await desk.list_customers(paging), CustomerOut.from_domain)


@router.get("/billing/subscriptions", response_model=CountedPageOut[AdminSubscriptionOut])
async def list_subscriptions(
    operator: CurrentOperator, desk: Desk, paging: Paging, status: Status = None
) -> CountedPageOut[AdminSubscriptionOut]:
    """Every subscription, newest first, optionally of one of Stripe's statuses."""
    found = await desk.list_subscriptions(paging, status)
    return CountedPageOut.of(found, AdminSubscriptionOut.from_domain)


@router.get("/billing/recent-charges", response_model=CountedPageOut[ChargeOut])
async def list_recent_charges(
    operator: CurrentOperator, desk: Desk, paging: Paging
) -> CountedPageOut[ChargeOut]:
    """Payments, newest first: Stripe's charges, failed ones too, and what was paid otherwise.

    `id` is what `POST /admin/refunds` takes as `charge_id`, where it is a charge.
    """
    return CountedPageOut.of(await desk.list_charges(paging), ChargeOut.from_domain)


@router.get("/billing/invoices", response_model=CountedPageOut[AdminInvoiceOut])
async def list_all_invoices(
    operator: CurrentOperator, desk: Desk, paging: Paging, status: InvoiceStatus | None = None
) -> CountedPageOut[AdminInvoiceOut]:
    """Invoices of every organization, newest first, optionally of one status."""
    found = await desk.list_invoices(paging, status)
    return CountedPageOut.of(found, AdminInvoiceOut.from_domain)


@router.get("/billing/users", response_model=CountedPageOut[AdminUserOut])
async def list_users(
    operator: CurrentOperator, desk: Desk, paging: Paging
) -> CountedPageOut[AdminUserOut]:
    """People, newest first, with their organizations and what those used this calendar month."""
    return CountedPageOut.of(await desk.list_users(paging), AdminUserOut.from_domain)


@router.get("/audit-log", response_model=PageOut[AuditEntryOut])
async def list_audit_log(
    operator: CurrentOperator,
    desk: Desk,
    paging: Paging,
    organization_id: prefixed_id("org") | None = None,  # type: ignore[valid-type]
    action: Annotated[str | None, Query(max_length=100)] = None,
) -> PageOut[AuditEntryOut]:
    """Who changed what, newest first: of one organization, or of all of them and the platform."""
    page = await desk.list_audit(paging, organization_id, action)
    return PageOut.of(page, AuditEntryOut.model_validate)


@router.get("/webhooks/events", response_model=PageOut[StripeEventOut])
async def list_stripe_events(
    operator: CurrentOperator,
    inbox: Inbox,
    paging: Paging,
    state: EventState | None = None,
    type: Annotated[str | None, Query(max_length=255)] = None,  # noqa: A002 - Stripe's word
    min_attempts: Annotated[int, Query(ge=0, le=1000)] = 0,
    last_error: Annotated[str | None, Query(max_length=255)] = None,
) -> PageOut[StripeEventOut]:
    """What Stripe sent, newest first, and what became of it. *last_error* is a part of a text."""
    page = await inbox.list(paging, EventFilter(state, type, min_attempts, last_error))
    return PageOut.of(page, StripeEventOut.from_domain)


@router.post("/webhooks/events/replay", response_model=ReplayedOut, status_code=202)
async def replay_dead_stripe_events(
    operator: CurrentOperator,
    inbox: Inbox,
    type: Annotated[str | None, Query(max_length=255)] = None,  # noqa: A002 - Stripe's word
) -> ReplayedOut:
    """Handle again what was given up, of one type or of all, 500 at a time."""
    return ReplayedOut(replayed=await inbox.replay_dead(type))


@router.post("/webhooks/events/{event_id}/replay", response_model=StripeEventOut, status_code=202)
async def replay_stripe_event(
    operator: CurrentOperator, inbox: Inbox, event_id: Annotated[str, Path(max_length=255)]
) -> StripeEventOut:
    """Handle an event again, whatever became of it. It is `pending` until its job has run."""
    return StripeEventOut.from_domain(await inbox.replay(event_id))


@router.get("/outbox", response_model=PageOut[KeptMailOut])
async def list_outbox(
    request: Request, operator: CurrentOperator, paging: Paging
) -> PageOut[KeptMailOut]:
    """Mails in the local outbox, newest first; 404 where mail goes out by SMTP."""
    services: Services = request.app.state.services
    if OutboxMail not in services:
        raise NoOutbox
    found = await services[OutboxMail].list_newest(paging.limit + 1, before=paging.cursor)
    more = len(found) > paging.limit
    kept = found[: paging.limit]
    return PageOut(
        data=[KeptMailOut.from_domain(mail) for mail in kept],
        has_more=more,
        next_cursor=kept[-1].name if more else None,
    )
