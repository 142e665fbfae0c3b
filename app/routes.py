"""The API's table of contents. Hot paths stand first: the router matches in order."""

from fastapi import APIRouter

from app.admin.router import router as admin
from app.admin.suspensions import router as suspensions
from app.auth.router import router as auth
from app.budgets import router as budgets
from app.catalog.router import router as catalog
from app.credits import router as credit_router
from app.discounts import router as discounts
from app.doctor.router import router as doctor
from app.infra.http import health
from app.infra.http.lane import HotOperation
from app.insights import router as insights
from app.invoices.router import router as invoices
from app.metered import router as metered
from app.notifications.router import endpoints, notices, operators
from app.organizations.router import router as organizations
from app.payments.router import router as payments
from app.pricing import router as pricing
from app.reconciliation.router import router as reconciliation
from app.recovery import router as recovery
from app.statements import router as statements
from app.subscriptions import hot as subscriptions_hot
from app.subscriptions import operators as subscriptions_operators
from app.subscriptions import router as subscriptions
from app.usage.router import costs as costs_router
from app.usage.router import events as usage
from app.usage.router import export as export_router
from app.usage.router import hot_events as usage_hot
from app.usage.router import hot_reservations as reservations_hot
from app.usage.router import reservations
from app.webhooks import hot as webhooks_hot
from app.webhooks.router import router as webhooks

API_PREFIX = "/api/v1"

FEATURE_ROUTERS: tuple[APIRouter, ...] = (
    usage.ingest,
    reservations.writing,
    reservations.reading,
    export_router.router,  # before usage: /usage/events/export is not an id
    usage.standing,
    usage.quotas,
    usage.router,
    costs_router.router,
    insights.router,
    insights.returns,
    budgets.router,
    budgets.debates,
    auth,
    organizations,
    catalog,
    pricing.router,
    pricing.operators,
    subscriptions.hot_router,
    subscriptions.router,
    credit_router.router,
    credit_router.operators,
    discounts.router,
    discounts.operators,
    invoices,
    statements.router,
    statements.operators,
    metered.router,
    metered.operators,
    payments,
    recovery.router,
    recovery.operators,
    subscriptions_operators.router,
    suspensions,
    webhooks,
    reconciliation,
    endpoints.router,
    notices.router,
    operators.router,
    admin,
    doctor,
)

PLATFORM_ROUTERS: tuple[APIRouter, ...] = (health.router,)

HOT_OPERATIONS: tuple[tuple[str, str, HotOperation], ...] = (
    ("POST", "/usage/events", usage_hot.RECORD_EVENT),
    ("POST", "/usage/events/batch", usage_hot.RECORD_BATCH),
    ("POST", "/usage/reservations", reservations_hot.RESERVE),
    ("POST", "/usage/reservations/{reservation_id}/commit", reservations_hot.COMMIT),
    ("POST", "/usage/reservations/{reservation_id}/release", reservations_hot.RELEASE),
    ("GET", "/billing/quota", usage_hot.QUOTAS),
    ("GET", "/billing/subscription", subscriptions_hot.SUBSCRIPTION),
    ("POST", "/webhooks/stripe", webhooks_hot.RECEIVE),
)
"""Served by the lane in front of the framework; each is declared by a route above as well."""

ALIASES: tuple[tuple[str, str], ...] = (
    ("/api/billing/webhook", f"{API_PREFIX}/webhooks/stripe"),
    ("/webhooks/stripe", f"{API_PREFIX}/webhooks/stripe"),
    ("/api/billing/admin/", f"{API_PREFIX}/admin/billing/"),
    ("/api/billing/", f"{API_PREFIX}/billing/"),
    ("/api/auth/", f"{API_PREFIX}/auth/"),
)
"""The requirements' unversioned paths; they answer as the canonical ones and are not documented."""

TAGS: tuple[dict[str, str], ...] = (
    {"name": "auth", "description": "People, sessions, tokens and API keys."},
    {"name": "organizations", "description": "Organizations, members, roles and invites."},
    {"name": "plans", "description": "What can be bought."},
    {"name": "subscription", "description": "Checkout, portal, plan changes and entitlements."},
    {"name": "usage", "description": "Metering in tokens and calls, quotas, summaries."},
    {"name": "costs", "description": "What usage costs, exactly."},
    {"name": "budgets", "description": "How much may be spent, who is told, who may pass."},
    {"name": "credits", "description": "What there is to spend before paying."},
    {"name": "discounts", "description": "Promo codes and what volume takes off."},
    {"name": "invoices", "description": "Documents and payments."},
    {"name": "notifications", "description": "Who is told what, and by which way."},
    {"name": "webhooks", "description": "Where Stripe reports."},
    {"name": "admin", "description": "For platform operators."},
    {"name": "health", "description": "For load balancers and monitoring."},
)
