"""Someone as they see themselves."""

from __future__ import annotations

from app.auth.domain import Profile
from app.auth.repository import ApiKeyRepository
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import UserId
from app.organizations.service import OrganizationService
from app.users.service import UserService


class ProfileService:
    """Reads and changes one's own account."""

    def __init__(
        self,
        work: UnitOfWork,
        users: UserService,
        organizations: OrganizationService,
        keys: ApiKeyRepository,
        clock: Clock,
    ) -> None:
        self._work = work
        self._users = users
        self._organizations = organizations
        self._keys = keys
        self._clock = clock

    async def profile(self, user_id: UserId) -> Profile:
        """Raises `UserNotFound`."""
        async with self._work.begin_platform():
            return Profile(
                person=await self._users.get(user_id),
                belongings=await self._organizations.list_for_user(user_id),
                has_api_key=await self._keys.has_live_for_platform(user_id, self._clock.now()),
            )

    async def rename(self, user_id: UserId, name: str) -> Profile:
        async with self._work.begin_platform():
            await self._users.rename(user_id, name)
            return await self.profile(user_id)
