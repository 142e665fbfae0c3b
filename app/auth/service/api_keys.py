"""API keys: made, listed, rotated, deleted."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from app.audit.service import AuditLog
from app.auth import domain
from app.auth.domain import (
    API_ACCESS,
    DEFAULT_SCOPES,
    KEY_RANDOM_LENGTH,
    NewApiKey,
    make_key,
    shown_part,
)
from app.auth.errors import (
    ApiAccessNotInPlan,
    ApiKeyExpired,
    ApiKeyNotFound,
    ApiKeyRotated,
    ExpiryInThePast,
)
from app.auth.models import ApiKey
from app.auth.repository import ApiKeyRepository
from app.auth.service.secrets import Secrets
from app.auth.service.signals import key_signal
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.tokens import random_token
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.kernel.principal import Permission, Principal
from app.organizations.domain import PlanAdvice
from app.organizations.service import OrganizationService


class ApiKeyService:
    """Keys of an organization. A key never may more than the person it was made by."""

    def __init__(
        self,
        work: UnitOfWork,
        keys: ApiKeyRepository,
        organizations: OrganizationService,
        plans: PlanAdvice,
        secrets: Secrets,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._keys = keys
        self._organizations = organizations
        self._plans = plans
        self._secrets = secrets
        self._audit = audit
        self._signals = signals
        self._clock = clock

    async def create(
        self,
        caller: Principal,
        name: str,
        scopes: Collection[Permission] | None,
        expires_at: datetime | None,
    ) -> NewApiKey:
        """Make a key; its secret is in the answer and nowhere else.

        Without *scopes* it may meter and look. Raises `MissingPermission` for a scope that the
        caller lacks, `ApiAccessNotInPlan`, and `ExpiryInThePast`.
        """
        organization_id = caller.organization
        if scopes is None:
            scopes = DEFAULT_SCOPES & caller.permissions
        for scope in scopes:
            caller.require(scope)
        if expires_at is not None and expires_at <= self._clock.now():
            raise ExpiryInThePast
        async with self._work.begin(organization_id):
            await self._require_feature(organization_id)
            return self._add(caller, name, scopes, expires_at)

    async def list_for_organization(
        self, organization_id: OrganizationId, request: PageRequest
    ) -> Page[domain.ApiKey]:
        async with self._work.begin(organization_id):
            page = await self._keys.list_for_organization(organization_id, request)
            return page.map(lambda key: key.to_domain())

    async def rotate(self, caller: Principal, key_id: UUID, overlap: timedelta) -> NewApiKey:
        """A successor with the same name, scopes and lifespan; the old key works on for *overlap*.

        The successor is the caller's own, so nobody gains what they may not do. Of two rotations
        at once, one raises `ApiKeyRotated`.
        """
        organization_id = caller.organization
        now = self._clock.now()
        async with self._work.begin(organization_id):
            await self._require_feature(organization_id)
            old = await self._keys.claim(organization_id, key_id)
            if old is None:
                raise ApiKeyNotFound
            if old.rotated_at is not None:
                raise ApiKeyRotated
            if not old.is_live(now):
                raise ApiKeyExpired
            scopes = [Permission(scope) for scope in old.scopes]
            for scope in scopes:
                caller.require(scope)
            lifespan = old.expires_at - old.created_at if old.expires_at else None
            old.rotated_at = now
            end = now + overlap
            old.expires_at = min(old.expires_at, end) if old.expires_at else end
            self._audit.record(
                "api_keys.rotated",
                encode_id("key", key_id),
                organization_id=organization_id,
                after={"expires_at": old.expires_at},
            )
            await self._signals.send(self._work.session, key_signal(key_id))
            return self._add(caller, old.name, scopes, now + lifespan if lifespan else None)

    async def delete(self, organization_id: OrganizationId, key_id: UUID) -> None:
        """End a key at once, everywhere. Raises `ApiKeyNotFound`."""
        async with self._work.begin(organization_id):
            key = await self._keys.claim(organization_id, key_id)
            if key is None:
                raise ApiKeyNotFound
            await self._keys.remove(organization_id, key_id)
            self._audit.record(
                "api_keys.deleted",
                encode_id("key", key_id),
                organization_id=organization_id,
                before={"name": key.name, "prefix": key.prefix},
            )
            await self._signals.send(self._work.session, key_signal(key_id))

    async def delete_of_member(
        self, organization_id: OrganizationId, user_id: UserId, left_at: datetime
    ) -> None:
        """Delete the keys of someone who left; coming back does not bring them back."""
        async with self._work.begin(organization_id):
            gone = await self._keys.remove_all_of_user(organization_id, user_id, left_at)
            for key_id in gone:
                self._audit.record(
                    "api_keys.deleted",
                    encode_id("key", key_id),
                    organization_id=organization_id,
                    reason="member_removed",
                )
                await self._signals.send(self._work.session, key_signal(key_id))

    async def find_by_secret(
        self, organization_id: OrganizationId, secret: str
    ) -> domain.ApiKey | None:
        async with self._work.begin(organization_id):
            key = await self._keys.find_by_hash(organization_id, self._secrets.of_key(secret))
            return key.to_domain() if key else None

    async def _require_feature(self, organization_id: OrganizationId) -> None:
        granted = await self._organizations.entitlements(organization_id)
        if API_ACCESS not in granted.features:
            raise ApiAccessNotInPlan(
                feature=API_ACCESS,
                plan=granted.plan,
                upgrade_to=self._plans.upgrade_for_feature(API_ACCESS, granted.plan),
            )

    def _add(
        self,
        caller: Principal,
        name: str,
        scopes: Collection[Permission],
        expires_at: datetime | None,
    ) -> NewApiKey:
        secret = make_key(caller.organization, random_token(KEY_RANDOM_LENGTH))
        key = ApiKey(
            organization_id=caller.organization,
            id=new_id(),
            user_id=caller.user_id,
            name=name,
            prefix=shown_part(secret),
            key_hash=self._secrets.of_key(secret),
            scopes=sorted(scope.value for scope in scopes),
            created_at=self._clock.now(),
            expires_at=expires_at,
        )
        self._keys.add(key)
        self._audit.record(
            "api_keys.created",
            encode_id("key", key.id),
            organization_id=caller.organization,
            after={"name": name, "prefix": key.prefix, "scopes": key.scopes},
        )
        return NewApiKey(key.to_domain(), secret)
