"""People in and out."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import UserId
from app.users.errors import UserNotFound
from app.users.models import User


class UserRepository(Repository):
    """The table of people."""

    platform = True

    async def add_unless_taken(self, user: User) -> bool:
        """Store a new person; False when the address is taken, also by a racing registration."""
        stored = await self.session.execute(
            insert(User)
            .values(
                id=user.id,
                email=user.email,
                name=user.name,
                password_hash=user.password_hash,
                is_operator=user.is_operator,
                email_verified_at=user.email_verified_at,
                created_at=user.created_at,
            )
            .on_conflict_do_nothing(index_elements=[User.email])
            .returning(User.id)
        )
        return stored.scalar_one_or_none() is not None

    async def find(self, user_id: UserId) -> User | None:
        return await self.session.get(User, user_id)

    async def find_by_email(self, email: str) -> User | None:
        return await self.session.scalar(select(User).where(User.email == email))

    async def find_many(self, user_ids: Collection[UserId]) -> list[User]:
        if not user_ids:
            return []
        return list(await self.session.scalars(select(User).where(User.id.in_(user_ids))))

    async def list_operators(self) -> list[User]:
        """Whoever runs the platform and has not been suspended."""
        return list(
            await self.session.scalars(
                select(User).where(User.is_operator, User.suspended_at.is_(None)).order_by(User.id)
            )
        )

    async def claim(self, user_id: UserId) -> User:
        """The person, locked until the unit ends. Raises `UserNotFound`."""
        user = await self.session.scalar(
            select(User)
            .where(User.id == user_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        if user is None:
            raise UserNotFound
        return user
