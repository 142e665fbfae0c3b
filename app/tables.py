"""Imports every `models.py`, so that Alembic and the tests see all tables."""

from app.audit import models as audit
from app.auth import models as auth
from app.budgets import models as budgets
from app.catalog import models as catalog
from app.credits import models as credits
from app.discounts import models as discounts
from app.infra.db.base import metadata
from app.infra.http import idempotency, rate_limit
from app.invoices import models as invoices
from app.invoices import models_notes as credit_notes
from app.metered import models as metered
from app.notifications import models as notifications
from app.organizations import models as organizations
from app.payments import models as payments
from app.pricing import models as pricing
from app.reconciliation import models as reconciliation
from app.recovery import models as recovery
from app.sinks import models as sinks
from app.subscriptions import models as subscriptions
from app.usage import models as usage
from app.users import models as users
from app.webhooks import models as webhooks

__all__ = [
    "PLATFORM_TABLES",
    "budgets",
    "credit_notes",
    "credits",
    "metadata",
    "metered",
    "payments",
    "recovery",
    "subscriptions",
    "usage",
]

PLATFORM_TABLES: dict[str, str] = {
    audit.PlatformAuditEntry.__tablename__: "changes to what belongs to nobody",
    catalog.CatalogVersion.__tablename__: "every customer buys from the same catalog",
    discounts.PromoCode.__tablename__: "anybody may type a code",
    idempotency.IdempotencyKey.__tablename__: "registration has a key before any tenant",
    organizations.Organization.__tablename__: "it is the tenant itself",
    users.User.__tablename__: "people exist before, between and across organizations",
    auth.Session.__tablename__: "it is a person's, in one organization or in none",
    auth.RefreshToken.__tablename__: "it is presented by someone who is not signed in",
    auth.Revocation.__tablename__: "it is read while a caller is being verified",
    auth.OneTimeToken.__tablename__: "it is presented by someone who is not signed in",
    pricing.LlmPrice.__tablename__: "providers charge every organization alike",
    pricing.LlmModelAlias.__tablename__: "a model's names are the same for everyone",
    pricing.PriceBookState.__tablename__: "one version for the whole price book",
    invoices.InvoiceNumberCounter.__tablename__: "a series of numbers is the seller's",
    notifications.PersonalNotice.__tablename__: "a person's account belongs to no organization",
    rate_limit.RateLimitCounter.__tablename__: "an address has no tenant before it signs in",
    sinks.Sink.__tablename__: "a deployment has its sinks, not a customer",
    usage.UsageArchive.__tablename__: "a month of events is everybody's",
    usage.UsageFeed.__tablename__: "a deployment has its sinks, not a customer",
    usage.UsageNote.__tablename__: "one flush records for many organizations",
    reconciliation.Reconciliation.__tablename__: "one run looks at many organizations",
    webhooks.StripeEvent.__tablename__: "an event has no tenant until it is handled",
}
"""Tables that belong to no organization, each with the reason (architecture 8)."""
