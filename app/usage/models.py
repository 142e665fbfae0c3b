"""Events, their permanent keys, rollups, counters, and what spending is held against."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKeyConstraint,
    Identity,
    Index,
    Numeric,
    SmallInteger,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZMULTIRANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.infra.db.types import UtcInstant
from app.usage import ddl  # noqa: F401 - the default partition and the writing function
from app.usage.spend import CREDIT, SpendPeriod, SpendScope

COST_PLACES = 18

Cost = Annotated[Decimal, mapped_column(Numeric(38, COST_PLACES))]
"""A price of ten decimal places times a millionth of a token count is exact in 18."""

Quantity = Annotated[Decimal, mapped_column(Numeric(38, 12))]


def _listed(words: type[StrEnum]) -> str:
    return ", ".join(f"'{word.value}'" for word in words)


class _Keyed(TenantTable):
    """A tenant's table whose rows have a key of their own meaning instead of an id."""

    __abstract__ = True

    id = None  # type: ignore[assignment]


class UsageKey(_Keyed):
    """What makes an event unique for ever, whatever happens to the partition of its row.

    `key_hash` is a 128-bit digest of the caller's id: half the size of the text in the index that
    grows fastest. `payload_hash` tells a repeat from a conflict.
    """

    __tablename__ = "usage_keys"

    key_hash: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-18)
    event_id: Mapped[UUID]
    payload_hash: Mapped[UUID]


class UsageEvent(TenantTable):
    """One event, partitioned by the month in which it happened.

    The id is a UUIDv7 whose time is `occurred_at`: the primary key alone serves lists, single
    events and stretches of time, and finds the partition.
    """

    __tablename__ = "usage_events"
    __table_args__ = (
        Index(
            "ix_usage_events_unpriced",
            "organization_id",
            "provider",
            "model",
            postgresql_where=text("cost_usd is null and voided_at is null"),
        ),
        {"postgresql_partition_by": "RANGE (occurred_at)"},
    )

    occurred_at: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-18)
    event_key: Mapped[str]
    event_type: Mapped[str]
    quantity: Mapped[Quantity]
    provider: Mapped[str | None]
    model: Mapped[str | None]
    tokens_in: Mapped[int]
    tokens_out: Mapped[int]
    cached_tokens: Mapped[int]
    cache_write_tokens: Mapped[int]
    reasoning_tokens: Mapped[int]
    cost_usd: Mapped[Cost | None]
    price_source: Mapped[str | None]
    price_reference: Mapped[str | None]
    price_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))
    user_id: Mapped[str | None]
    api_key_id: Mapped[UUID | None]
    reservation_id: Mapped[UUID | None]
    debate_id: Mapped[str | None]
    agent: Mapped[str | None]
    workspace: Mapped[str | None]
    request_type: Mapped[str | None]
    rounds: Mapped[int | None]
    latency_ms: Mapped[Decimal | None] = mapped_column(Numeric(18, 3))
    event_metadata: Mapped[dict[str, Any] | None] = mapped_column("metadata")
    raw_usage: Mapped[dict[str, Any] | list[Any] | None] = mapped_column(JSONB)
    window_start: Mapped[datetime]
    counted: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    voided_at: Mapped[datetime | None]
    void_reason: Mapped[str | None]


class UsageArchive(PlatformTable):
    """A month of events that left `usage_events`, or a later portion of it that was backfilled.

    `detached` still is a table of its own in this database; `archived` is the file that
    `manifest` describes.
    """

    __tablename__ = "usage_archives"
    __table_args__ = (
        CheckConstraint("state in ('detached', 'archived')", name="state_is_known"),
        CheckConstraint(
            "(state = 'archived') = (archived_at is not null and manifest is not null)",
            name="archived_is_described",
        ),
    )

    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    portion: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    ends_at: Mapped[datetime]
    relation: Mapped[str]
    state: Mapped[str]
    detached_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]
    manifest: Mapped[dict[str, Any] | None]


class UsageFeed(PlatformTable):
    """Somebody outside who is told what was recorded; there is a trigger for each."""

    __tablename__ = "usage_feeds"

    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]
    read_at: Mapped[datetime]


class UsageNote(PlatformTable):
    """What one statement recorded or changed, for one feed, until the feed has passed it on."""

    __tablename__ = "usage_notes"
    __table_args__ = (Index("ix_usage_notes_feed", "feed", "id"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    feed: Mapped[str]
    organization_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    event_ids: Mapped[list[UUID] | None] = mapped_column(ARRAY(Uuid()))
    months: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    leased_until: Mapped[datetime | None]


class UsageHour(_Keyed):
    """What happened in an hour, by type, provider and model; `''` stands for none.

    The hours of a day older than `kept.HOURS_KEPT` are one row at its midnight. Sums over whole
    days are the same before and after, and a void that arrives later may still use its own hour.
    """

    __tablename__ = "usage_hourly"

    hour: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-18)
    event_type: Mapped[str] = mapped_column(primary_key=True, sort_order=-17)
    provider: Mapped[str] = mapped_column(primary_key=True, sort_order=-16)
    model: Mapped[str] = mapped_column(primary_key=True, sort_order=-15)
    events: Mapped[int]
    quantity: Mapped[Quantity]
    tokens_in: Mapped[int]
    tokens_out: Mapped[int]
    cached_tokens: Mapped[int]
    cost_usd: Mapped[Cost]
    unpriced: Mapped[int]


class UsageDay(_Keyed):
    """What an agent, a workspace, a user or a debate used on a UTC day."""

    __tablename__ = "usage_daily"

    day: Mapped[date] = mapped_column(Date(), primary_key=True, sort_order=-18)
    dimension: Mapped[str] = mapped_column(primary_key=True, sort_order=-17)
    value: Mapped[str] = mapped_column(primary_key=True, sort_order=-16)
    events: Mapped[int]
    quantity: Mapped[Quantity]
    tokens_in: Mapped[int]
    tokens_out: Mapped[int]
    cached_tokens: Mapped[int]
    cost_usd: Mapped[Cost]
    unpriced: Mapped[int]


class UsageMonth(_Keyed):
    """A UTC calendar month (`2026-11`) in the figures that the requirements ask for."""

    __tablename__ = "usage_monthly"

    month: Mapped[str] = mapped_column(primary_key=True, sort_order=-18)
    debates: Mapped[Quantity]
    api_calls: Mapped[Quantity]
    total_tokens: Mapped[int]
    total_cost: Mapped[Cost]
    events: Mapped[int]
    tokens_in: Mapped[int]
    tokens_out: Mapped[int]
    unpriced: Mapped[int]


class UsageCounter(_Keyed):
    """How much of a metric a quota window has used, and how much reservations hold."""

    __tablename__ = "usage_counters"
    __table_args__ = (CheckConstraint("held >= 0", name="held_not_negative"),)

    metric: Mapped[str] = mapped_column(primary_key=True, sort_order=-18)
    window_start: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-17)
    used: Mapped[Quantity]
    held: Mapped[Quantity]
    latest_at: Mapped[datetime | None]
    announced_percent: Mapped[int] = mapped_column(SmallInteger())


class UsageValue(_Keyed):
    """A value that a window has seen of a metric which counts different ones, and how often."""

    __tablename__ = "usage_values"

    metric: Mapped[str] = mapped_column(primary_key=True, sort_order=-18)
    window_start: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-17)
    value_hash: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-16)
    events: Mapped[int]


class SpendLimit(TenantTable):
    """A bound on what part of an organization may spend in a period; its id is the budget's.

    A limit of the scope `credit` has the id of a credit account, and its ledger keeps it in step:
    `hard_usd` is what the account has and what use has taken from it, `settled_usd`. It counts
    what happened in `counts_in`, while a plan drew on credit; from `lapses_at` on, when credit
    comes to its end, it is as low as `lapsed_usd`.

    `soft_usd` and `hard_usd` are amounts beyond which spending is refused, to callers without
    `budgets.exceed` and to everybody. Events are posted from `counts_from` on: the beginning of
    the period in which the limit was made, whose spending was counted then.
    """

    __tablename__ = "spend_limits"
    __table_args__ = (
        Index("ix_spend_limits_subject", "organization_id", "scope", "subject"),
        Index(
            "ix_spend_limits_credit",
            "organization_id",
            unique=True,
            postgresql_where=text(f"scope = '{CREDIT}'"),
        ),
        CheckConstraint(f"scope in ({_listed(SpendScope)}, '{CREDIT}')", name="scope_is_known"),
        CheckConstraint(
            f"(scope = '{CREDIT}') = (counts_in is not null and settled_usd is not null)",
            name="credit_says_what_it_counts",
        ),
        CheckConstraint(f"period in ({_listed(SpendPeriod)})", name="period_is_known"),
        CheckConstraint("amount_usd >= 0", name="amount_not_negative"),
    )

    scope: Mapped[str]
    subject: Mapped[str]
    period: Mapped[str]
    amount_usd: Mapped[Cost]
    soft_usd: Mapped[Cost | None]
    hard_usd: Mapped[Cost | None]
    thresholds: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric(9, 6)))
    auto_suspend: Mapped[bool]
    suspended_at: Mapped[datetime | None]
    suspended_until: Mapped[datetime | None]
    counts_from: Mapped[datetime]
    is_active: Mapped[bool]
    counts_in: Mapped[list[Range[datetime]] | None] = mapped_column(TSTZMULTIRANGE())
    settled_usd: Mapped[Cost | None]
    lapses_at: Mapped[datetime | None]
    lapsed_usd: Mapped[Cost | None]


class SpendOverride(TenantTable):
    """For a while, a limit does not refuse: one caller, or anybody where none is named."""

    __tablename__ = "spend_overrides"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "limit_id"], ["spend_limits.organization_id", "spend_limits.id"]
        ),
        Index("ix_spend_overrides_limit_id", "organization_id", "limit_id"),
    )

    limit_id: Mapped[UUID]
    user_id: Mapped[str | None]
    until: Mapped[datetime]


class Spend(_Keyed):
    """What a limit's period has seen: posted by events, held by reservations.

    `announced` is the highest fraction of the amount that was announced, `reached_at` when the
    whole of it was spent for the first time; neither goes back.
    """

    __tablename__ = "spend"
    __table_args__ = (CheckConstraint("held >= 0", name="held_not_negative"),)

    limit_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-18)
    period_start: Mapped[datetime] = mapped_column(primary_key=True, sort_order=-17)
    posted: Mapped[Cost]
    held: Mapped[Cost]
    announced: Mapped[Decimal] = mapped_column(Numeric(9, 6))
    reached_at: Mapped[datetime | None]


class Reservation(TenantTable):
    """What somebody holds for a call that is about to be made.

    `names` says what is held: `$` is cost, everything else a metric, and the arrays beside it run
    parallel: what was granted, what of it remains, what went back, what events took, and what
    they took beyond it. What a child was granted is missing from its parent's `remaining`.
    `limit_ids` with `period_starts` are the limits on spending that carry the cost, those of the
    parent first. Names, window, limits, parent and path never change.
    """

    __tablename__ = "reservations"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "parent_id"], ["reservations.organization_id", "reservations.id"]
        ),
        Index(
            "uq_reservations_request_key",
            "organization_id",
            "request_key",
            unique=True,
            postgresql_where=text("request_key is not null"),
        ),
        Index("ix_reservations_overdue", "expires_at", postgresql_where=text("state = 'held'")),
        CheckConstraint(
            "state in ('held', 'committed', 'released', 'expired')", name="state_is_known"
        ),
        CheckConstraint("0 <= all (remaining)", name="remaining_not_negative"),
        CheckConstraint("state = 'held' or 0 = all (remaining)", name="nothing_remains_at_the_end"),
    )

    parent_id: Mapped[UUID | None]
    path: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    state: Mapped[str]
    metric: Mapped[str | None]
    window_start: Mapped[datetime]
    names: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    granted: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric()))
    remaining: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric()))
    returned: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric()))
    committed: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric()))
    overshoot: Mapped[list[Decimal]] = mapped_column(ARRAY(Numeric()))
    events: Mapped[int]
    limit_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    limit_scopes: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    period_starts: Mapped[list[datetime]] = mapped_column(ARRAY(UtcInstant()))
    workspace: Mapped[str | None]
    user_id: Mapped[str | None]
    api_key_id: Mapped[UUID | None]
    debate_id: Mapped[str | None]
    agent: Mapped[str | None]
    provider: Mapped[str | None]
    model: Mapped[str | None]
    request_key: Mapped[UUID | None]
    request_hash: Mapped[UUID | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class UnpricedAlert(_Keyed):
    """A model whose usage waits for a price, and the day on which operators were told so."""

    __tablename__ = "usage_unpriced_alerts"

    day: Mapped[date] = mapped_column(Date(), primary_key=True, sort_order=-18)
    provider: Mapped[str] = mapped_column(primary_key=True, sort_order=-17)
    model: Mapped[str] = mapped_column(primary_key=True, sort_order=-16)
    events: Mapped[int]
    created_at: Mapped[datetime]
