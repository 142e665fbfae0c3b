"""Background work of sign-in."""

from datetime import datetime
from uuid import UUID

from app.auth.service import ApiKeyService, RevocationService
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.kernel.ids import OrganizationId, UserId


async def forget_expired(payload: Payload, services: Services) -> None:
    """Delete sessions, tokens and revocations that have run out."""
    await services[RevocationService].forget_expired()


async def delete_keys_of_member(payload: Payload, services: Services) -> None:
    """Delete the API keys of someone who no longer belongs to the organization."""
    await services[ApiKeyService].delete_of_member(
        OrganizationId(UUID(payload["organization_id"])),
        UserId(UUID(payload["user_id"])),
        datetime.fromisoformat(payload["removed_at"]),
    )


JOBS = {
    "auth.forget_expired": forget_expired,
    "auth.delete_keys_of_member": delete_keys_of_member,
}
