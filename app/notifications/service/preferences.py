"""Which mails somebody does without."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from app.audit.service import AuditLog
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.secret import SigningSecret
from app.infra.security.tokens import InvalidToken, SignedClaims
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId, UserId, encode_id
from app.notifications.domain import Muted, NoticeKind, Told
from app.notifications.errors import CannotBeMuted, NotALink
from app.notifications.kinds import can_be_muted
from app.notifications.repository.preferences import PreferenceRepository
from app.organizations.service import OrganizationService


@dataclass(frozen=True, slots=True)
class _Link:
    organization_id: OrganizationId
    user_id: UserId
    kind: NoticeKind


class UnsubscribeLinks:
    """A link in a mail that stops mails of its kind to its reader, without signing in.

    It does nothing else and never runs out: an old mail's link must work too.
    """

    def __init__(self, secret: SigningSecret, base_url: str) -> None:
        self._claims = SignedClaims(secret.derive("unsubscribe"), ("org", "sub", "kind"))
        self._base_url = base_url

    def of(self, told: Told) -> str | None:
        """The address for a notice; None where there is nothing to stop."""
        if told.organization_id is None or told.person_id is None or not can_be_muted(told.kind):
            return None
        token = self._claims.sign(
            {
                "org": str(told.organization_id),
                "sub": str(told.person_id),
                "kind": told.kind.value,
            }
        )
        return f"{self._base_url}/api/v1/notifications/unsubscribe?token={token}"

    def read(self, token: str) -> _Link:
        """Raises `NotALink`."""
        try:
            claims = self._claims.read(token)
            return _Link(
                OrganizationId(UUID(claims["org"])),
                UserId(UUID(claims["sub"])),
                NoticeKind(claims["kind"]),
            )
        except (InvalidToken, ValueError, TypeError, AttributeError):
            raise NotALink from None


class PreferenceService:
    """Everything is mailed until somebody mutes it: for themselves, or for everybody."""

    def __init__(
        self,
        work: UnitOfWork,
        preferences: PreferenceRepository,
        organizations: OrganizationService,
        links: UnsubscribeLinks,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._work = work
        self._preferences = preferences
        self._organizations = organizations
        self._links = links
        self._audit = audit
        self._clock = clock

    async def of(self, organization_id: OrganizationId, user_id: UserId) -> Muted:
        async with self._work.begin(organization_id):
            found = await self._preferences.list_muted(organization_id, [user_id, organization_id])
        nothing: frozenset[NoticeKind] = frozenset()
        return Muted(found.get(user_id, nothing), found.get(organization_id, nothing))

    async def muted_by(
        self, organization_id: OrganizationId, kind: NoticeKind, people: Collection[UserId]
    ) -> frozenset[UUID]:
        """Which of *people* do without mails of a kind; joins the unit."""
        async with self._work.begin(organization_id):
            found: Mapping[UUID, frozenset[NoticeKind]] = await self._preferences.list_muted(
                organization_id, [*people, organization_id]
            )
        if kind in found.get(organization_id, ()):
            return frozenset(people)
        return frozenset(person for person in people if kind in found.get(person, ()))

    async def mute(
        self,
        organization_id: OrganizationId,
        user_id: UserId,
        kinds: Collection[NoticeKind],
    ) -> Muted:
        """Mail me everything but *kinds*. Raises `CannotBeMuted`."""
        _require_mutable(kinds)
        async with self._work.begin(organization_id):
            await self._preferences.put(organization_id, user_id, kinds, self._clock.now())
        return await self.of(organization_id, user_id)

    async def mute_for_everybody(
        self,
        organization_id: OrganizationId,
        user_id: UserId,
        kinds: Collection[NoticeKind],
    ) -> Muted:
        """Mail nobody in the organization *kinds*. Raises `CannotBeMuted`."""
        _require_mutable(kinds)
        now = self._clock.now()
        async with self._work.begin(organization_id):
            before = await self._preferences.claim_muted(organization_id, organization_id, now)
            await self._preferences.put(organization_id, organization_id, kinds, now)
            if before != frozenset(kinds):
                self._audit.record(
                    "notifications.muted",
                    encode_id("org", organization_id),
                    organization_id=organization_id,
                    before={"muted": sorted(before)},
                    after={"muted": sorted(kinds)},
                )
        return await self.of(organization_id, user_id)

    async def unsubscribe(self, token: str) -> NoticeKind:
        """Stop what a mail's link says; again changes nothing. Raises `NotALink`."""
        link = self._links.read(token)
        now = self._clock.now()
        if await self._organizations.find_access(link.organization_id, link.user_id) is not None:
            async with self._work.begin(link.organization_id):
                muted = await self._preferences.claim_muted(link.organization_id, link.user_id, now)
                await self._preferences.put(
                    link.organization_id, link.user_id, muted | {link.kind}, now
                )
        return link.kind


def _require_mutable(kinds: Collection[NoticeKind]) -> None:
    for kind in kinds:
        if not can_be_muted(kind):
            raise CannotBeMuted(kind=kind.value)
