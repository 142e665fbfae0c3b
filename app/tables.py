"""Imports every `models.py`, so that Alembic and the tests see all tables."""

from app.audit import models as audit
from app.catalog import models as catalog
from app.infra.db.base import metadata
from app.infra.http import idempotency, rate_limit
from app.webhooks import models as webhooks

__all__ = ["PLATFORM_TABLES", "metadata"]

PLATFORM_TABLES: dict[str, str] = {
    audit.PlatformAuditEntry.__tablename__: "changes to what belongs to nobody",
    catalog.CatalogVersion.__tablename__: "every customer buys from the same catalog",
    idempotency.IdempotencyKey.__tablename__: "registration has a key before any tenant",
    rate_limit.RateLimitCounter.__tablename__: "an address has no tenant before it signs in",
    webhooks.StripeEvent.__tablename__: "an event has no tenant until it is handled",
}
"""Tables that belong to no organization, each with the reason (architecture 8)."""
