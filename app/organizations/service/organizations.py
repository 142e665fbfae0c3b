"""Organizations themselves: opening them, what their plan grants, their quota windows."""

from __future__ import annotations

from datetime import datetime

from slugify import slugify

from app.audit.service import AuditLog
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.security.tokens import random_token
from app.kernel.clock import Clock
from app.kernel.entitlements import Entitlements
from app.kernel.ids import OrganizationId, UserId, encode_id, new_id
from app.kernel.pages import Page, PageRequest
from app.kernel.periods import Period
from app.organizations import domain
from app.organizations.domain import (
    Access,
    Belonging,
    PlanAdvice,
    QuotaWindows,
    Role,
    closed_part,
    permissions_of,
)
from app.organizations.errors import NoFreeSlug, OrganizationNotFound, StripeCustomerTaken
from app.organizations.events import CreditUseChanged, QuotaWindowChanged
from app.organizations.models import Membership, Organization
from app.organizations.repository import (
    MemberRepository,
    OrganizationRepository,
    QuotaWindowRepository,
)

_SLUG_LENGTH = 48
_SLUG_ATTEMPTS = 5


def organization_signal(organization_id: OrganizationId) -> str:
    """What other processes hear when rights inside an organization have changed."""
    return f"organization:{organization_id}"


class OrganizationService:
    """Organizations and the snapshot of their plan. Methods join the unit of work around them."""

    def __init__(
        self,
        work: UnitOfWork,
        organizations: OrganizationRepository,
        members: MemberRepository,
        windows: QuotaWindowRepository,
        plans: PlanAdvice,
        audit: AuditLog,
        signals: Signals,
        clock: Clock,
    ) -> None:
        self._work = work
        self._organizations = organizations
        self._members = members
        self._windows = windows
        self._plans = plans
        self._audit = audit
        self._signals = signals
        self._clock = clock

    async def create(self, name: str, owner_id: UserId) -> domain.Organization:
        """Open an organization that *owner_id* owns, with what the catalog grants for nothing."""
        now = self._clock.now()
        organization_id = OrganizationId(new_id())
        async with self._work.begin(organization_id):
            organization = Organization(
                id=organization_id, name=name, is_suspended=False, created_at=now
            )
            organization.grant(self._plans.for_new_organization(), now)
            await self._store_under_a_free_slug(organization)
            if organization.draws_on_credit_since is not None:
                self._work.announce(CreditUseChanged(organization_id, now))
            self._members.add(
                Membership(
                    organization_id=organization_id,
                    id=owner_id,
                    role=Role.OWNER.value,
                    joined_at=now,
                )
            )
            self._audit.record(
                "organizations.created",
                encode_id("org", organization_id),
                organization_id=organization_id,
                after={"name": name, "slug": organization.slug, "plan": organization.plan},
            )
            return organization.to_domain()

    async def get(self, organization_id: OrganizationId) -> domain.Organization:
        """Raises `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            return (await self._organizations.get(organization_id)).to_domain()

    async def rename(self, organization_id: OrganizationId, name: str) -> domain.Organization:
        """Give it another name; its slug stays, because links may carry it."""
        async with self._work.begin(organization_id):
            organization = await self._organizations.claim(organization_id)
            if organization.name != name:
                self._audit.record(
                    "organizations.renamed",
                    encode_id("org", organization_id),
                    organization_id=organization_id,
                    before={"name": organization.name},
                    after={"name": name},
                )
                organization.name = name
            return organization.to_domain()

    async def list_for_user(self, user_id: UserId) -> list[Belonging]:
        """Every organization someone belongs to, the one they joined first in front."""
        async with self._work.begin_platform():
            rows = await self._members.list_of_user_for_platform(user_id)
            return [Belonging(found.to_domain(), Role(row.role)) for row, found in rows]

    async def find_for_user(
        self, user_id: UserId, preferred: OrganizationId | None
    ) -> Belonging | None:
        """The *preferred* one of someone's organizations, else the one they joined first.

        None for who has none. As dear for who belongs to a thousand as for who belongs to one.
        """
        async with self._work.begin_platform():
            found = await self._members.find_of_user_for_platform(user_id, preferred)
        if found is None:
            return None
        row, organization = found
        return Belonging(organization.to_domain(), Role(row.role))

    async def page_for_user(
        self, user_id: UserId, request: PageRequest, *, only: OrganizationId | None = None
    ) -> Page[Belonging]:
        """The organizations someone belongs to, the newest first, or *only* one of them."""
        async with self._work.begin_platform():
            page = await self._members.page_of_user_for_platform(user_id, request, only)
            found = await self._organizations.find_many([row.organization_id for row in page.items])
        return page.map(
            lambda row: Belonging(found[row.organization_id].to_domain(), Role(row.role))
        )

    async def find_access(self, organization_id: OrganizationId, user_id: UserId) -> Access | None:
        """What someone may do here now; None for strangers."""
        async with self._work.begin(organization_id):
            membership = await self._members.find(organization_id, user_id)
            organization = await self._organizations.find(organization_id)
            if membership is None or organization is None:
                return None
            role = Role(membership.role)
            return Access(
                organization_id=organization_id,
                role=role,
                permissions=permissions_of(role, is_suspended=organization.is_suspended),
                features=frozenset(organization.features),
                is_suspended=organization.is_suspended,
            )

    async def get_access(self, organization_id: OrganizationId, user_id: UserId) -> Access:
        """As `find_access`. Raises `OrganizationNotFound` for strangers."""
        access = await self.find_access(organization_id, user_id)
        if access is None:
            raise OrganizationNotFound
        return access

    async def entitlements(self, organization_id: OrganizationId) -> Entitlements:
        """What the plan grants now. Raises `OrganizationNotFound`."""
        return (await self.get(organization_id)).entitlements

    async def apply_entitlements(
        self,
        organization_id: OrganizationId,
        granted: Entitlements,
        *,
        kept_as: str | None = None,
    ) -> None:
        """Replace what the organization may use; joins the caller's unit.

        A change of window keeps the old one in the history as far as it has counted, and cuts off
        of the history what the new one takes back: it may open long after it started. *kept_as*
        names the plan that the old one was bought with, where another was given above it. Repeating
        the call changes nothing. People beyond a smaller seat limit stay; nobody can be added.
        """
        now = self._clock.now()
        async with self._work.begin(organization_id):
            organization = await self._organizations.claim(organization_id)
            before = organization.entitlements
            if before == granted:
                return
            if before.window != granted.window:
                since = granted.window.start if granted.window else now
                await self._windows.cut_off(organization_id, since)
                passed = closed_part(before.window, since)
                if passed is not None:
                    await self._windows.keep(organization_id, passed, kept_as or before.plan)
                self._work.announce(QuotaWindowChanged(organization_id, since))
            organization.grant(granted, now)
            if before.draws_on_credit != granted.draws_on_credit:
                self._work.announce(CreditUseChanged(organization_id, now))
            self._audit.record(
                "organizations.entitlements_changed",
                encode_id("org", organization_id),
                organization_id=organization_id,
                before=_shown(before),
                after=_shown(granted),
            )
            await self._signals.send(self._work.session, organization_signal(organization_id))

    async def quota_windows(self, organization_id: OrganizationId) -> QuotaWindows:
        """The current window and all past ones. Raises `OrganizationNotFound`."""
        async with self._work.begin(organization_id):
            organization = await self._organizations.get(organization_id)
            past = await self._windows.list_past(organization_id)
            return QuotaWindows(organization.window, tuple(past))

    async def window_at(self, organization_id: OrganizationId, instant: datetime) -> Period:
        """The quota window in which something that happened at *instant* counts."""
        return (await self.quota_windows(organization_id)).at(instant)

    async def set_stripe_customer(self, organization_id: OrganizationId, customer_id: str) -> None:
        """Tie the organization to its customer at Stripe, for good. Repeating it is fine.

        Raises `StripeCustomerTaken` when either side is tied already.
        """
        async with self._work.begin(organization_id):
            organization = await self._organizations.claim(organization_id)
            if organization.stripe_customer_id == customer_id:
                return
            other = await self._organizations.find_by_stripe_customer(customer_id)
            if organization.stripe_customer_id is not None or other is not None:
                raise StripeCustomerTaken
            organization.stripe_customer_id = customer_id
            self._audit.record(
                "organizations.stripe_customer_set",
                encode_id("org", organization_id),
                organization_id=organization_id,
                after={"stripe_customer_id": customer_id},
            )

    async def forget_stripe_customer(
        self, organization_id: OrganizationId, customer_id: str
    ) -> None:
        """Untie a customer whom Stripe no longer has; any other tie is left as it is."""
        async with self._work.begin(organization_id):
            organization = await self._organizations.claim(organization_id)
            if organization.stripe_customer_id != customer_id:
                return
            organization.stripe_customer_id = None
            self._audit.record(
                "organizations.stripe_customer_forgotten",
                encode_id("org", organization_id),
                organization_id=organization_id,
                before={"stripe_customer_id": customer_id},
            )

    async def find_by_stripe_customer(self, customer_id: str) -> domain.Organization | None:
        async with self._work.begin_platform():
            organization = await self._organizations.find_by_stripe_customer(customer_id)
            return organization.to_domain() if organization else None

    async def suspend(self, organization_id: OrganizationId, reason: str) -> None:
        """Leave its people only looking and paying, and its API keys nothing, until `restore`."""
        await self._set_suspended(organization_id, value=True, reason=reason)

    async def restore(self, organization_id: OrganizationId, reason: str) -> None:
        await self._set_suspended(organization_id, value=False, reason=reason)

    async def mark_disputed(self, organization_id: OrganizationId, *, value: bool) -> None:
        """Note whether any of its payments is disputed; it is shown, and takes nothing away."""
        async with self._work.begin(organization_id):
            found = await self._organizations.get(organization_id)
            if found.is_disputed == value:
                return
            organization = await self._organizations.claim(organization_id)
            organization.is_disputed = value
            self._audit.record(
                "organizations.disputed" if value else "organizations.no_longer_disputed",
                encode_id("org", organization_id),
                organization_id=organization_id,
            )

    async def _set_suspended(
        self, organization_id: OrganizationId, *, value: bool, reason: str
    ) -> None:
        async with self._work.begin(organization_id):
            organization = await self._organizations.claim(organization_id)
            if organization.is_suspended == value:
                return
            organization.is_suspended = value
            self._audit.record(
                "organizations.suspended" if value else "organizations.restored",
                encode_id("org", organization_id),
                organization_id=organization_id,
                reason=reason,
            )
            await self._signals.send(self._work.session, organization_signal(organization_id))

    async def _store_under_a_free_slug(self, organization: Organization) -> None:
        slug = slugify(organization.name, max_length=_SLUG_LENGTH) or "organization"
        organization.slug = slug
        for _ in range(_SLUG_ATTEMPTS):
            if await self._organizations.add_unless_slug_taken(organization):
                return
            organization.slug = f"{slug}-{random_token(6).lower()}"
        raise NoFreeSlug


def _shown(granted: Entitlements) -> dict[str, object]:
    return {
        "plan": granted.plan,
        "draws_on_credit": granted.draws_on_credit,
        "seat_limit": granted.seat_limit,
        "window_start": granted.window.start if granted.window else None,
        "window_end": granted.window.end if granted.window else None,
    }
