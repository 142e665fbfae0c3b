"""Background work of subscriptions."""

from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.subscriptions.service import CheckoutService, SubscriptionMirror
from app.subscriptions.service.access import REVIEW_JOB
from app.subscriptions.service.mirror import CLOSE_PAGE_JOB


async def review_access(payload: Payload, services: Services) -> None:
    await services[SubscriptionMirror].review_access(_organization(payload))


async def close_checkout_page(payload: Payload, services: Services) -> None:
    await services[CheckoutService].close_page(_organization(payload))


def _organization(payload: Payload) -> OrganizationId:
    return OrganizationId(UUID(payload["organization_id"]))


JOBS = {REVIEW_JOB: review_access, CLOSE_PAGE_JOB: close_checkout_page}
