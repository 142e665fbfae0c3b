"""Background work of subscriptions."""

from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId
from app.subscriptions.service import CheckoutService, ExpiringCards, SubscriptionMirror
from app.subscriptions.service.access import REVIEW_JOB
from app.subscriptions.service.cards import LOOK_JOB
from app.subscriptions.service.mirror import CLOSE_PAGE_JOB


async def review_access(payload: Payload, services: Services) -> None:
    await services[SubscriptionMirror].review_access(_organization(payload))


async def close_checkout_page(payload: Payload, services: Services) -> None:
    await services[CheckoutService].close_page(_organization(payload))


async def look_at_cards(payload: Payload, services: Services) -> None:
    await services[ExpiringCards].look_at_all()


async def look_at_cards_of(payload: Payload, services: Services) -> None:
    await services[ExpiringCards].look_at(_organization(payload))


def _organization(payload: Payload) -> OrganizationId:
    return OrganizationId(UUID(payload["organization_id"]))


JOBS = {
    REVIEW_JOB: review_access,
    CLOSE_PAGE_JOB: close_checkout_page,
    "subscriptions.look_at_cards": look_at_cards,
    LOOK_JOB: look_at_cards_of,
}
