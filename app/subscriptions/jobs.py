"""Background work of subscriptions."""

from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.subscriptions.service import SubscriptionMirror
from app.subscriptions.service.mirror import REVIEW_JOB


async def review_access(payload: Payload, services: Services) -> None:
    organization_id = OrganizationId(UUID(payload["organization_id"]))
    await services[SubscriptionMirror].review_access(organization_id)


JOBS = {REVIEW_JOB: review_access}
