"""A row for each notice, each endpoint, and each message to one."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.infra.db.base import PlatformTable, TenantTable
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import Channel, HookEvent, NoticeKind, NoticeState, NoticeView, Told
from app.notifications.endpoints import Attempt, DeliveryState, Endpoint, HookDelivery

_STATES = ", ".join(f"'{state.value}'" for state in NoticeState)
_WAITS = text("state = 'pending'")


class _Notice:
    """What both tables write down; never what the mail says, which may hold a token."""

    cause: Mapped[str]
    kind: Mapped[str]
    channel: Mapped[str] = mapped_column(server_default="mail")
    person_id: Mapped[UUID | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    state: Mapped[str] = mapped_column(default=NoticeState.PENDING.value)
    recipient: Mapped[str | None]
    subject: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    last_error: Mapped[str | None]
    next_attempt_at: Mapped[datetime | None]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    def to_domain(self, organization_id: OrganizationId | None, notice_id: UUID) -> NoticeView:
        return NoticeView(
            id=notice_id,
            organization_id=organization_id,
            kind=NoticeKind(self.kind),
            channel=Channel(self.channel),
            state=NoticeState(self.state),
            subject=self.subject,
            recipient=self.recipient,
            attempts=self.attempts,
            last_error=self.last_error,
            next_attempt_at=self.next_attempt_at,
            created_at=self.created_at,
            settled_at=self.settled_at,
        )

    def told(self, organization_id: OrganizationId | None, notice_id: UUID) -> Told:
        return Told(
            notice_id=notice_id,
            kind=NoticeKind(self.kind),
            cause=self.cause,
            facts=self.facts,
            organization_id=organization_id,
            person_id=self.person_id,
            attempt=self.attempts,
            channel=Channel(self.channel),
        )


class Notice(_Notice, TenantTable):
    """Something an organization's people were told about it."""

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("organization_id", "cause"),
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        Index("ix_notices_waiting", "next_attempt_at", postgresql_where=_WAITS),
    )


class PersonalNotice(_Notice, PlatformTable):
    """Something a person was told about their account, or an operator about the platform."""

    __tablename__ = "personal_notices"
    __table_args__ = (
        CheckConstraint(f"state in ({_STATES})", name="state_is_known"),
        Index("ix_personal_notices_waiting", "next_attempt_at", postgresql_where=_WAITS),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    cause: Mapped[str] = mapped_column(unique=True)


class NoticePreference(TenantTable):
    """Kinds that are not mailed: to a member, or, under the organization's own id, to nobody."""

    __tablename__ = "notice_preferences"

    muted: Mapped[list[str]]
    updated_at: Mapped[datetime]


class WebhookEndpoint(TenantTable):
    """Where an organization wants to be told. Its secrets are encrypted: we must sign with them."""

    __tablename__ = "webhook_endpoints"

    url: Mapped[str]
    description: Mapped[str]
    events: Mapped[list[str]]
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    previous_secret: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_secret_until: Mapped[datetime | None]
    is_enabled: Mapped[bool]
    disabled_at: Mapped[datetime | None]
    disabled_reason: Mapped[str | None]
    failing_since: Mapped[datetime | None]
    last_sequence: Mapped[int]
    leased_until: Mapped[datetime | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]

    def to_domain(self) -> Endpoint:
        return Endpoint(
            id=self.id,
            organization_id=OrganizationId(self.organization_id),
            url=self.url,
            description=self.description,
            events=tuple(HookEvent(event) for event in self.events),
            is_enabled=self.is_enabled,
            disabled_at=self.disabled_at,
            disabled_reason=self.disabled_reason,
            failing_since=self.failing_since,
            previous_secret_until=self.previous_secret_until,
            created_at=self.created_at,
        )


class WebhookDelivery(TenantTable):
    """A message to an endpoint. Its id is the message's; its sequence, the endpoint's order."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        ForeignKeyConstraint(
            ["organization_id", "endpoint_id"],
            ["webhook_endpoints.organization_id", "webhook_endpoints.id"],
            name="fk_webhook_deliveries_endpoint",
            ondelete="CASCADE",
        ),
        UniqueConstraint("organization_id", "endpoint_id", "cause"),
        Index(
            "ix_webhook_deliveries_waiting",
            "organization_id",
            "endpoint_id",
            "sequence",
            postgresql_where=_WAITS,
        ),
        CheckConstraint("state in ('pending', 'sent', 'failed')", name="state_is_known"),
    )

    endpoint_id: Mapped[UUID]
    sequence: Mapped[int]
    cause: Mapped[str]
    event: Mapped[str]
    body: Mapped[str]
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(Integer)
    next_attempt_at: Mapped[datetime | None]
    last_attempts: Mapped[list[Any]]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    def to_domain(self) -> HookDelivery:
        return HookDelivery(
            id=self.id,
            endpoint_id=self.endpoint_id,
            event=self.event,
            body=self.body,
            state=DeliveryState(self.state),
            attempts=self.attempts,
            next_attempt_at=self.next_attempt_at,
            last_attempts=tuple(Attempt.from_json(each) for each in self.last_attempts),
            created_at=self.created_at,
            settled_at=self.settled_at,
        )
