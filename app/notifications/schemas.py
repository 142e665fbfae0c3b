"""Notices and endpoints on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from app.infra.http.schemas import InputModel, Instant, OutputModel, prefixed_id
from app.notifications.domain import (
    Audience,
    Channel,
    HookEvent,
    Muted,
    NoticeKind,
    NoticeState,
    NoticeView,
)
from app.notifications.endpoints import DeliveryState, Endpoint, HookDelivery
from app.notifications.kinds import RULES, can_be_muted

if TYPE_CHECKING:
    EndpointId = UUID
    MessageId = UUID
    NoticeId = UUID
    OrganizationIdOut = UUID
else:
    EndpointId = prefixed_id("whe")
    MessageId = prefixed_id("msg")
    NoticeId = prefixed_id("ntc")
    OrganizationIdOut = prefixed_id("org")

Url = Annotated[
    str, Field(min_length=1, max_length=2000, examples=["https://example.com/hooks/billing"])
]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


def _distinct(events: list[HookEvent]) -> list[HookEvent]:
    if len(set(events)) < len(events):
        raise ValueError("each event once")
    return events


Events = Annotated[
    list[HookEvent],
    Field(max_length=len(HookEvent), description="Which events; empty for all of them."),
    AfterValidator(_distinct),
]


class NoticeOut(OutputModel):
    """Something that somebody was told, or was to be told."""

    id: NoticeId
    kind: NoticeKind
    channel: Channel
    state: NoticeState
    subject: str | None = Field(description="Known once it was sent.")
    recipient: str | None
    attempts: int
    last_error: str | None
    next_attempt_at: Instant | None
    created_at: Instant
    settled_at: Instant | None

    @classmethod
    def of(cls, notice: NoticeView) -> NoticeOut:
        return cls.model_validate(notice)


class AnyNoticeOut(NoticeOut):
    """A notice, and whose it is: nobody's where it is a person's or for operators."""

    organization_id: OrganizationIdOut | None

    @classmethod
    def of(cls, notice: NoticeView) -> AnyNoticeOut:
        return cls.model_validate(notice)


def _once(kinds: list[NoticeKind]) -> list[NoticeKind]:
    if len(set(kinds)) < len(kinds):
        raise ValueError("each kind once")
    return kinds


class PreferencesIn(InputModel):
    muted: Annotated[
        list[NoticeKind],
        Field(
            max_length=len(NoticeKind),
            description="Kinds that are not mailed; empty for all of them to be.",
            examples=[["quota_threshold"]],
        ),
        AfterValidator(_once),
    ]


class KindOut(OutputModel):
    kind: NoticeKind
    can_be_muted: bool
    event: HookEvent | None = Field(description="What endpoints are told of it.")


class PreferencesOut(OutputModel):
    """What is not mailed to you, and what to nobody in your organization."""

    muted: list[NoticeKind]
    muted_for_everybody: list[NoticeKind]
    kinds: list[KindOut]

    @classmethod
    def of(cls, muted: Muted) -> PreferencesOut:
        return cls(
            muted=sorted(muted.to_me),
            muted_for_everybody=sorted(muted.to_nobody),
            kinds=[
                KindOut(kind=kind, can_be_muted=can_be_muted(kind), event=rule.event)
                for kind, rule in RULES.items()
                if Audience.OPERATORS not in rule.audience or Audience.KEEPERS in rule.audience
            ],
        )


class EndpointIn(InputModel):
    url: Url
    events: Events = []
    description: Description = ""


class EndpointPatch(InputModel):
    """What is left out stays. `is_enabled: true` sends what waited, in order."""

    url: Url = Field(default="", validate_default=False)
    events: Events = Field(default=[], validate_default=False)
    description: Description = ""
    is_enabled: bool = True

    def changes(self) -> dict[str, object]:
        changes: dict[str, object] = {
            name: getattr(self, name) for name in self.model_fields_set if name != "events"
        }
        if "events" in self.model_fields_set:
            changes["events"] = [event.value for event in self.events]
        return changes


class RotateIn(InputModel):
    overlap_hours: Annotated[int, Field(ge=0, le=168)] = Field(
        default=24, description="How long messages carry a signature of the last secret as well."
    )


class EndpointOut(OutputModel):
    """An endpoint. `failing_since` tells since when it has taken no message."""

    id: EndpointId
    url: str
    events: list[HookEvent]
    description: str
    is_enabled: bool
    disabled_at: Instant | None
    disabled_reason: str | None
    failing_since: Instant | None
    previous_secret_until: Instant | None
    created_at: Instant

    @classmethod
    def of(cls, endpoint: Endpoint) -> EndpointOut:
        return cls.model_validate(endpoint)


class EndpointSecretOut(EndpointOut):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])

    @classmethod
    def with_secret(cls, made: tuple[Endpoint, str]) -> EndpointSecretOut:
        endpoint, secret = made
        return cls(**dict(EndpointOut.of(endpoint)), secret=secret)


class AttemptOut(OutputModel):
    at: Instant
    status: int | None
    error: str | None
    excerpt: str = Field(description="The beginning of what the endpoint answered.")
    milliseconds: int


class HookDeliveryOut(OutputModel):
    """A message to an endpoint: its id is the `webhook-id` of every attempt."""

    id: MessageId
    endpoint_id: EndpointId
    event: HookEvent
    state: DeliveryState
    attempts: int
    next_attempt_at: Instant | None
    last_attempts: list[AttemptOut]
    body: str
    created_at: Instant
    settled_at: Instant | None

    @classmethod
    def of(cls, delivery: HookDelivery) -> HookDeliveryOut:
        return cls.model_validate(delivery)
