"""Facts that somebody should be told of, one job each."""

from __future__ import annotations

from uuid import UUID

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId, UserId
from app.notifications.service.budget_notices import BudgetNotices
from app.notifications.service.notices import OrganizationNotices, PersonalNotices
from app.notifications.service.operator_notices import OperatorNotices


async def verify_email(payload: Payload, services: Services) -> None:
    await services[PersonalNotices].ask_to_verify_email(*_person(payload))


async def reset_password(payload: Payload, services: Services) -> None:
    await services[PersonalNotices].send_password_reset(*_person(payload))


async def password_changed(payload: Payload, services: Services) -> None:
    await services[PersonalNotices].tell_password_changed(*_person(payload))


async def invite(payload: Payload, services: Services) -> None:
    await services[OrganizationNotices].send_invite(
        OrganizationId(UUID(payload["organization_id"])),
        UUID(payload["invite_id"]),
        UUID(payload["fact_id"]),
    )


async def model_unpriced(payload: Payload, services: Services) -> None:
    await services[OperatorNotices].tell_model_unpriced(
        OrganizationId(UUID(payload["organization_id"])),
        payload["provider"],
        payload["model"],
        payload["events"],
        UUID(payload["fact_id"]),
    )


async def budget_threshold(payload: Payload, services: Services) -> None:
    await services[BudgetNotices].tell_threshold(
        OrganizationId(UUID(payload["organization_id"])),
        UUID(payload["alert_id"]),
        UUID(payload["fact_id"]),
    )


def _person(payload: Payload) -> tuple[UserId, UUID]:
    return UserId(UUID(payload["user_id"])), UUID(payload["fact_id"])


JOBS = {
    "notifications.verify_email": verify_email,
    "notifications.reset_password": reset_password,
    "notifications.password_changed": password_changed,
    "notifications.invite": invite,
    "notifications.model_unpriced": model_unpriced,
    "notifications.budget_threshold": budget_threshold,
}
