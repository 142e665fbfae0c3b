"""Sessions, tokens and keys in and out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.auth.domain import TOUCH_EVERY
from app.auth.errors import SessionNotFound
from app.auth.models import ApiKey, OneTimeToken, RefreshToken, Revocation, Session
from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, UserId
from app.kernel.pages import Page, PageRequest


class SessionRepository(Repository):
    """Sessions and their refresh families."""

    platform = True

    def add(self, session: Session) -> None:
        self.session.add(session)

    async def find(self, session_id: UUID) -> Session | None:
        return await self.session.get(Session, session_id)

    async def get(self, session_id: UUID) -> Session:
        session = await self.find(session_id)
        if session is None:
            raise SessionNotFound
        return session

    async def flush(self) -> None:
        """Store what was added, for rows that refer to it."""
        await self.session.flush()

    async def find_by_secret(self, secret_hash: str) -> Session | None:
        return await self.session.scalar(select(Session).where(Session.secret_hash == secret_hash))

    async def claim(self, session_id: UUID) -> Session | None:
        """The session, locked until the unit ends."""
        return await self.session.scalar(
            select(Session)
            .where(Session.id == session_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def touch(self, session_id: UUID, at: datetime) -> None:
        """Note that the session was used, at most once a minute."""
        await self.session.execute(
            update(Session)
            .where(Session.id == session_id, Session.last_used_at <= at - TOUCH_EVERY)
            .values(last_used_at=at)
            .execution_options(synchronize_session=False)
        )

    async def list_live_for_user(
        self, user_id: UserId, at: datetime, request: PageRequest
    ) -> Page[Session]:
        query = select(Session).where(
            Session.user_id == user_id, Session.revoked_at.is_(None), Session.expires_at > at
        )
        return await self.page(query, request, Session.id, lambda row: row.id)

    async def revoke_all_of_user(
        self, user_id: UserId, at: datetime, reason: str, *, but: UUID | None = None
    ) -> list[UUID]:
        """End every live session of a person, except *but*; returns which."""
        query = (
            update(Session)
            .where(Session.user_id == user_id, Session.revoked_at.is_(None))
            .values(revoked_at=at, revoked_reason=reason)
            .returning(Session.id)
            .execution_options(synchronize_session=False)
        )
        if but is not None:
            query = query.where(Session.id != but)
        return list(await self.session.scalars(query))

    def add_refresh_token(self, token: RefreshToken) -> None:
        self.session.add(token)

    async def claim_refresh_token(self, token_hash: str) -> RefreshToken | None:
        """The token, locked until the unit ends; of two at once the second sees it used."""
        return await self.session.scalar(
            select(RefreshToken)
            .where(RefreshToken.token_hash == token_hash)
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def find_refresh_token(self, token_hash: str) -> RefreshToken | None:
        return await self.session.get(RefreshToken, token_hash)

    async def forget_ended(self, before: datetime) -> None:
        """Delete sessions, with their families, that ran out or were revoked before *before*."""
        await self.session.execute(
            delete(Session).where(or_(Session.expires_at < before, Session.revoked_at < before))
        )
        await self.session.execute(delete(RefreshToken).where(RefreshToken.expires_at < before))


class RevocationRepository(Repository):
    """What ended before its time."""

    platform = True

    async def add(
        self,
        subject: str,
        user_id: UserId,
        *,
        since: datetime,
        expires_at: datetime,
        reason: str | None,
    ) -> None:
        """Keep a revocation; of two of one subject the later instant stays."""
        fresh = insert(Revocation).values(
            subject=subject, user_id=user_id, since=since, expires_at=expires_at, reason=reason
        )
        await self.session.execute(
            fresh.on_conflict_do_update(
                index_elements=[Revocation.subject],
                set_={
                    "since": fresh.excluded.since,
                    "expires_at": fresh.excluded.expires_at,
                    "reason": fresh.excluded.reason,
                },
                where=Revocation.since < fresh.excluded.since,
            )
        )

    async def find(self, *subjects: str) -> dict[str, Revocation]:
        rows = await self.session.scalars(
            select(Revocation).where(Revocation.subject.in_(subjects))
        )
        return {row.subject: row for row in rows}

    async def forget_expired(self, at: datetime) -> None:
        await self.session.execute(delete(Revocation).where(Revocation.expires_at <= at))


class OneTimeTokenRepository(Repository):
    """Links in mails."""

    platform = True

    async def replace(self, token: OneTimeToken) -> None:
        """Store a token; the earlier one for the same purpose is dead."""
        values = {
            "token_hash": token.token_hash,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        }
        await self.session.execute(
            insert(OneTimeToken)
            .values(user_id=token.user_id, purpose=token.purpose, **values)
            .on_conflict_do_update(
                index_elements=[OneTimeToken.user_id, OneTimeToken.purpose], set_=values
            )
        )

    async def find_live(self, token_hash: str, purpose: str, at: datetime) -> OneTimeToken | None:
        return await self.session.scalar(
            select(OneTimeToken).where(
                OneTimeToken.token_hash == token_hash,
                OneTimeToken.purpose == purpose,
                OneTimeToken.expires_at > at,
            )
        )

    async def use(self, token_hash: str, purpose: str, at: datetime) -> UserId | None:
        """Spend a live token and say whose it was; of two at once, one gets None."""
        user_id = await self.session.scalar(
            delete(OneTimeToken)
            .where(
                OneTimeToken.token_hash == token_hash,
                OneTimeToken.purpose == purpose,
                OneTimeToken.expires_at > at,
            )
            .returning(OneTimeToken.user_id)
            .execution_options(synchronize_session=False)
        )
        return UserId(user_id) if user_id is not None else None

    async def forget_expired(self, at: datetime) -> None:
        await self.session.execute(delete(OneTimeToken).where(OneTimeToken.expires_at <= at))


class ApiKeyRepository(Repository):
    """Keys of an organization."""

    def add(self, key: ApiKey) -> None:
        self.session.add(key)

    async def find(self, organization_id: OrganizationId, key_id: UUID) -> ApiKey | None:
        return await self.session.get(ApiKey, (organization_id, key_id))

    async def find_by_hash(self, organization_id: OrganizationId, key_hash: str) -> ApiKey | None:
        return await self.session.scalar(
            select(ApiKey).where(
                ApiKey.organization_id == organization_id, ApiKey.key_hash == key_hash
            )
        )

    async def claim(self, organization_id: OrganizationId, key_id: UUID) -> ApiKey | None:
        """The key, locked until the unit ends."""
        return await self.session.scalar(
            select(ApiKey)
            .where(ApiKey.organization_id == organization_id, ApiKey.id == key_id)
            .with_for_update()
            .execution_options(populate_existing=True)
        )

    async def touch(self, organization_id: OrganizationId, key_id: UUID, at: datetime) -> None:
        """Note that the key was used, at most once a minute."""
        await self.session.execute(
            update(ApiKey)
            .where(
                ApiKey.organization_id == organization_id,
                ApiKey.id == key_id,
                or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= at - TOUCH_EVERY),
            )
            .values(last_used_at=at)
            .execution_options(synchronize_session=False)
        )

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[ApiKey]:
        query = select(ApiKey).where(ApiKey.organization_id == organization_id)
        return await self.page(query, request, ApiKey.id, lambda row: row.id)

    async def has_live_for_platform(self, user_id: UserId, at: datetime) -> bool:
        """Whether a person has a working key in any of their organizations."""
        found = await self.session.scalar(
            select(ApiKey.id)
            .where(
                ApiKey.user_id == user_id,
                or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > at),
            )
            .limit(1)
        )
        return found is not None

    async def remove_all_of_user(
        self, organization_id: OrganizationId, user_id: UserId, made_until: datetime
    ) -> list[UUID]:
        """Delete every key that somebody made here up to an instant; returns which."""
        gone = await self.session.scalars(
            delete(ApiKey)
            .where(
                ApiKey.organization_id == organization_id,
                ApiKey.user_id == user_id,
                ApiKey.created_at <= made_until,
            )
            .returning(ApiKey.id)
            .execution_options(synchronize_session=False)
        )
        return list(gone)

    async def remove(self, organization_id: OrganizationId, key_id: UUID) -> None:
        await self.session.execute(
            delete(ApiKey).where(ApiKey.organization_id == organization_id, ApiKey.id == key_id)
        )
