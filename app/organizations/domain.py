"""Roles, seats, windows, and the questions that others answer for organizations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Any, Protocol
from uuid import UUID

from app.kernel.entitlements import Entitlements, LimitPolicy, MetricLimit
from app.kernel.ids import MalformedId, OrganizationId, UserId, decode_id, encode_id
from app.kernel.periods import Period, calendar_month
from app.kernel.principal import Permission

HEADLINE_METRIC = "debates"
"""What `GET /organizations/{id}` counts; the rest is in `GET /billing/quota`."""

_ID_LENGTH = 26

INVITE_LIFETIME = timedelta(days=7)


class Role(StrEnum):
    """What someone is in an organization."""

    OWNER = "owner"
    ADMIN = "admin"
    BILLING = "billing"
    MEMBER = "member"
    VIEWER = "viewer"


_SEES = frozenset(
    {
        Permission.ORGANIZATION_READ,
        Permission.MEMBERS_READ,
        Permission.BILLING_READ,
        Permission.USAGE_READ,
        Permission.BUDGETS_READ,
    }
)

PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.OWNER: frozenset(Permission),
    Role.ADMIN: frozenset(Permission) - {Permission.ORGANIZATION_TRANSFER},
    Role.BILLING: _SEES
    | {
        Permission.BILLING_WRITE,
        Permission.BUDGETS_WRITE,
        Permission.BUDGETS_EXCEED,
        Permission.AUDIT_READ,
    },
    Role.MEMBER: _SEES | {Permission.USAGE_WRITE, Permission.API_KEYS_READ},
    Role.VIEWER: _SEES,
}
"""What each role may do; fixed, so that a role means the same in every organization."""

WHILE_SUSPENDED = _SEES | {Permission.BILLING_WRITE, Permission.AUDIT_READ}
"""What is left of any role while the organization is suspended: look, and pay."""


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer: the tenant that everything else belongs to."""

    id: OrganizationId
    name: str
    slug: str
    entitlements: Entitlements
    stripe_customer_id: str | None
    is_suspended: bool
    is_disputed: bool
    created_at: datetime
    draws_on_credit_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """What someone is in which organization."""

    organization_id: OrganizationId
    user_id: UserId
    role: Role
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Member:
    """Someone in an organization, with the name that others see."""

    user_id: UserId
    email: str
    name: str
    role: Role
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Belonging:
    """An organization as one of its people sees it in a list."""

    organization: Organization
    role: Role


@dataclass(frozen=True, slots=True)
class Access:
    """What someone may do in an organization now, for whoever verifies callers."""

    organization_id: OrganizationId
    role: Role
    permissions: frozenset[Permission]
    features: frozenset[str]
    is_suspended: bool

    @property
    def withheld(self) -> frozenset[Permission]:
        """What the role would allow if the organization were not suspended."""
        return PERMISSIONS[self.role] - self.permissions


@dataclass(frozen=True, slots=True)
class Seats:
    """How many people belong or are invited, and how many may."""

    used: int
    limit: int | None

    def has_room_for(self, more: int) -> bool:
        return self.limit is None or self.used + more <= self.limit


@dataclass(frozen=True, slots=True)
class Overview:
    """An organization with what is left of its plan. Counts debates, the headline metric."""

    organization: Organization
    window: Period
    used: Decimal
    held: Decimal
    seats: Seats

    @property
    def limit(self) -> Decimal | None:
        granted = self.organization.entitlements.limits.get(HEADLINE_METRIC)
        return granted.limit if granted is not None else None

    @property
    def remaining(self) -> Decimal | None:
        if self.limit is None:
            return None
        return max(self.limit - self.used - self.held, Decimal(0))

    @property
    def is_at_limit(self) -> bool:
        return self.remaining is not None and self.remaining <= 0


class PlanAdvice(Protocol):
    """What organizations ask about plans; `wiring` supplies the catalog."""

    def for_new_organization(self) -> Entitlements:
        """What an organization may use before it pays."""
        ...

    def upgrade_for_feature(self, feature: str, plan: str) -> str | None:
        """The lowest plan above *plan* that includes *feature*."""
        ...

    def upgrade_for_seats(self, seats: int, plan: str) -> str | None:
        """The lowest plan above *plan* that has at least so many *seats*."""
        ...


class UsageReader(Protocol):
    """What an organization has used of a metric in its current window; `usage` supplies it."""

    async def used(self, organization_id: OrganizationId, metric: str) -> tuple[Decimal, Decimal]:
        """The quantity used, and the quantity held by reservations."""
        ...


def make_invite_token(organization_id: OrganizationId, invite_id: UUID, random: str) -> str:
    """What an invitation's link carries: organization, invitation, and a secret."""
    return f"{encode_id('', organization_id)[1:]}{encode_id('', invite_id)[1:]}{random}"


def parse_invite_token(token: str) -> tuple[OrganizationId, UUID] | None:
    """The organization and invitation that a link names, or None for what is no link of ours."""
    try:
        return (
            OrganizationId(decode_id("", f"_{token[:_ID_LENGTH]}")),
            decode_id("", f"_{token[_ID_LENGTH : 2 * _ID_LENGTH]}"),
        )
    except MalformedId:
        return None


def permissions_of(role: Role, *, is_suspended: bool) -> frozenset[Permission]:
    granted = PERMISSIONS[role]
    return granted & WHILE_SUSPENDED if is_suspended else granted


def current_window(window: Period | None, at: datetime) -> Period:
    """The quota window at *at*: the subscription's while it lasts, else the calendar month.

    A paid window that has run out without its successor keeps counting until the paid invoice
    opens the next one (rule 9).
    """
    return window if window is not None else calendar_month(at)


@dataclass(frozen=True, slots=True)
class HeldWindow:
    """A stretch of time in which an organization held a plan, and counted its quota once."""

    period: Period
    plan: str


@dataclass(frozen=True, slots=True)
class Held:
    """An organization with the paid windows it is through with, newest first."""

    organization: Organization
    past: tuple[HeldWindow, ...]

    @property
    def windows(self) -> QuotaWindows:
        return QuotaWindows(
            self.organization.entitlements.window, tuple(held.period for held in self.past)
        )

    def closed(self, since: datetime, now: datetime) -> list[HeldWindow]:
        """Windows that ended after *since* and not after *now*, oldest first.

        Of time without a paid window that is the calendar month, as far as it was free, under the
        plan of today.
        """
        found = [held for held in self.past if since < held.period.end <= now]
        if self.organization.entitlements.window is None:
            month = calendar_month(now).start
            free = self.windows.around(month - timedelta(microseconds=1))
            born = self.organization.created_at
            starts = {held.period.start for held in self.past}
            is_free = free.end == month and free.start not in starts
            if is_free and since < free.end and born < free.end:
                found.append(HeldWindow(free, self.organization.entitlements.plan))
        return sorted(found, key=lambda held: held.period.start)

    def closed_around(self, stretch: Period, plan: str, now: datetime) -> list[HeldWindow]:
        """Windows with any part of *stretch* in them that ended not after *now*, oldest first;
        those outside of paid ones under *plan*."""
        paid = {held.period.start: held for held in self.past}
        found: list[HeldWindow] = []
        for part, _ in self.windows.stretches(stretch.start, stretch.end):
            window = self.windows.around(part.start)
            if window.end <= now and (not found or window.start > found[-1].period.start):
                found.append(paid.get(window.start) or HeldWindow(window, plan))
        return found

    def of_month(self, month: Period) -> HeldWindow:
        """The window that starts in *month*, the last of several, be it paid or the free rest of
        the month; else the one that covers it."""
        current = self.organization.entitlements.window
        plan = self.organization.entitlements.plan
        paid = [*self.past, *([HeldWindow(current, plan)] if current is not None else [])]
        last = self.windows.around(month.end - timedelta(microseconds=1))
        known = next((held for held in paid if held.period.start == last.start), None)
        if known is not None or last.start in month:
            return known or HeldWindow(last, plan)
        return next((held for held in paid if month.start in held.period), HeldWindow(month, plan))


@dataclass(frozen=True, slots=True)
class QuotaWindows:
    """The window that counts now, and paid ones that are over, which do not overlap.

    Whatever lies outside of them counts in its calendar month.
    """

    current: Period | None
    past: tuple[Period, ...]

    def at(self, instant: datetime) -> Period:
        """The window in which something that happened at *instant* counts."""
        if self.current is not None and instant in self.current:
            return self.current
        for window in self.past:
            if instant in window:
                return window
        if self.current is not None and instant >= self.current.start:
            return self.current
        month = calendar_month(instant)
        return Period(month.start, min([month.end, *self._starts_after(instant)]))

    def around(self, instant: datetime) -> Period:
        """A stretch of time around *instant* that counts in the same window throughout.

        A calendar month may have a paid window inside, which is not part of it.
        """
        window = self.at(instant)
        ends = [each.end for each in self.past if window.start < each.end <= instant]
        return Period(max([window.start, *ends]), window.end)

    def _starts_after(self, instant: datetime) -> list[datetime]:
        windows = (*self.past, self.current) if self.current is not None else self.past
        return [window.start for window in windows if window.start > instant]

    def stretches(self, since: datetime, until: datetime) -> list[tuple[Period, datetime]]:
        """`[since, until)` cut where windows change, each part with the start of its window."""
        cuts = {since, until}
        for window in (*self.past, *([self.current] if self.current else [])):
            cuts |= {window.start, window.end}
        month = calendar_month(since)
        while month.end < until:
            cuts.add(month.end)
            month = calendar_month(month.end)
        inside = sorted(cut for cut in cuts if since <= cut <= until)
        return [(Period(start, end), self.at(start).start) for start, end in pairwise(inside)]


def closed_part(previous: Period | None, start_of_next: datetime) -> Period | None:
    """A paid window as far as it counted, once another follows; None when nothing of it did.

    It goes on past its own end until the next one starts, which an unpaid renewal delays.
    """
    if previous is None or previous.start >= start_of_next:
        return None
    return Period(previous.start, start_of_next)


def limits_to_json(limits: Mapping[str, MetricLimit]) -> dict[str, Any]:
    return {
        metric: {
            "limit": None if item.limit is None else str(item.limit),
            "policy": item.policy.value,
        }
        for metric, item in limits.items()
    }


def limits_from_json(stored: Mapping[str, Any]) -> dict[str, MetricLimit]:
    return {
        metric: MetricLimit(
            None if item["limit"] is None else Decimal(item["limit"]), LimitPolicy(item["policy"])
        )
        for metric, item in stored.items()
    }


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation that waits for its answer."""

    id: UUID
    organization_id: OrganizationId
    email: str
    role: Role
    invited_by: UserId
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
