"""Background work of budgets."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from app.budgets.service.alerts import AlertService
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId


async def raise_alert(payload: Payload, services: Services) -> None:
    """Note that spending has reached a threshold."""
    await services[AlertService].raise_alert(
        OrganizationId(UUID(payload["organization_id"])),
        UUID(payload["limit_id"]),
        period_start=datetime.fromisoformat(payload["period_start"]),
        fraction=Decimal(payload["fraction"]),
        is_highest=payload["is_highest"],
        amount_usd=Decimal(payload["amount_usd"]),
        spent_usd=Decimal(payload["posted"]),
        held_usd=Decimal(payload["held"]),
        is_suspended=payload["is_suspended"],
    )


JOBS = {"budgets.raise_alert": raise_alert}
