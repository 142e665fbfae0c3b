"""Budgets on the wire."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from app.budgets.domain import (
    DEFAULT_THRESHOLDS,
    Alert,
    Budget,
    Grant,
    Subject,
    Terms,
    Threshold,
    ThresholdAction,
)
from app.infra.http.schemas import (
    ActorOut,
    DecimalString,
    InputModel,
    Instant,
    InstantIn,
    OutputModel,
    prefixed_id,
)
from app.kernel.ids import MalformedId, decode_id, encode_id
from app.usage.spend import Refusal, SpendLabels, SpendPeriod, SpendScope

if TYPE_CHECKING:
    BudgetId = UUID
    OverrideId = UUID
    AlertId = UUID
    EventId = UUID
    KeyId = UUID
else:
    BudgetId = prefixed_id("bud")
    OverrideId = prefixed_id("bov")
    AlertId = prefixed_id("bal")
    EventId = prefixed_id("evt")
    KeyId = prefixed_id("key")

Amount = Annotated[
    Decimal,
    Field(ge=0, le=10**12, decimal_places=12, examples=["5000.00"]),
]
"""US dollars, exact: best a decimal string."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Label = Annotated[str, Field(min_length=1, max_length=200)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class ThresholdIn(InputModel):
    fraction: Annotated[Decimal, Field(gt=0, le=10, decimal_places=6, examples=["0.9"])]
    action: ThresholdAction


def _distinct(thresholds: list[ThresholdIn]) -> list[ThresholdIn]:
    if len({each.fraction for each in thresholds}) < len(thresholds):
        raise ValueError("each fraction once")
    return thresholds


Thresholds = Annotated[list[ThresholdIn], Field(max_length=10), AfterValidator(_distinct)]


class BudgetIn(InputModel):
    """A budget to be. `subject` names the workspace, user, key, debate or model of its scope."""

    name: Name = Field(examples=["Engineering Team Budget"])
    amount_usd: Amount
    period: SpendPeriod = SpendPeriod.MONTHLY
    scope: SpendScope = SpendScope.ORGANIZATION
    subject: Label | None = Field(
        default=None,
        description="Left out for the organization; for a model `model` or `provider/model`.",
    )
    thresholds: Thresholds | None = Field(
        default=None,
        description="Without: 0.5 notify, 0.75 warn, 0.9 soft_limit, 1 hard_limit.",
    )
    auto_suspend: bool = False

    @model_validator(mode="after")
    def _subject_fits_scope(self) -> Self:
        if (self.scope is SpendScope.ORGANIZATION) != (self.subject is None):
            raise ValueError("a subject is needed for every scope but organization")
        if self.scope is SpendScope.API_KEY and self.subject is not None:
            try:
                decode_id("key", self.subject)
            except MalformedId as error:
                raise ValueError(f"subject: {error}") from None
        return self

    def to_subject(self) -> Subject:
        name = self.subject or ""
        if self.scope is SpendScope.API_KEY:
            name = str(decode_id("key", name))
        return Subject(self.scope, name, self.period)

    def to_terms(self) -> Terms:
        thresholds = DEFAULT_THRESHOLDS if self.thresholds is None else _thresholds(self.thresholds)
        return Terms(self.name, self.amount_usd, thresholds, self.auto_suspend)


class BudgetPatch(InputModel):
    """What is left out stays."""

    name: Name = Field(default="", validate_default=False)
    amount_usd: Amount = Field(default=Decimal(0), validate_default=False)
    thresholds: Thresholds = Field(default=[], validate_default=False)
    auto_suspend: bool = False

    def changes(self) -> dict[str, object]:
        return _changes(self)


class DebateBudgetIn(InputModel):
    """A debate's budget; on one that exists, what is left out stays."""

    amount_usd: Amount
    name: Name = Field(default="", validate_default=False)
    thresholds: Thresholds = Field(default=[], validate_default=False)
    auto_suspend: bool = False

    def changes(self) -> dict[str, object]:
        return _changes(self)


def _changes(body: BudgetPatch | DebateBudgetIn) -> dict[str, object]:
    changes: dict[str, object] = {
        name: getattr(body, name) for name in body.model_fields_set if name != "thresholds"
    }
    if "thresholds" in body.model_fields_set:
        changes["thresholds"] = _thresholds(body.thresholds)
    return changes


def _thresholds(thresholds: list[ThresholdIn]) -> tuple[Threshold, ...]:
    return tuple(
        Threshold(each.fraction, each.action)
        for each in sorted(thresholds, key=lambda each: each.fraction)
    )


class ThresholdOut(OutputModel):
    fraction: DecimalString
    action: ThresholdAction


class BudgetOut(OutputModel):
    """A budget, and where it stands in its running period."""

    id: BudgetId
    name: str
    scope: SpendScope
    subject: str | None
    period: SpendPeriod
    amount_usd: DecimalString
    thresholds: list[ThresholdOut]
    auto_suspend: bool
    period_start: Instant
    period_end: Instant | None = Field(description="`null` where the budget never begins anew.")
    spent_usd: DecimalString
    held_usd: DecimalString = Field(description="Held by reservations.")
    remaining_usd: DecimalString
    is_suspended: bool
    suspended_at: Instant | None
    suspended_until: Instant | None = Field(description="`null`: until somebody resumes it.")
    created_by: ActorOut
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, budget: Budget, now: datetime) -> BudgetOut:
        standing, terms = budget.standing, budget.terms
        is_suspended = standing.is_suspended(now)
        return cls(
            id=budget.id,
            name=terms.name,
            scope=budget.subject.scope,
            subject=_subject_on_wire(budget.subject),
            period=budget.subject.period,
            amount_usd=terms.amount_usd,
            thresholds=[
                ThresholdOut(fraction=each.fraction, action=each.action)
                for each in terms.thresholds
            ],
            auto_suspend=terms.auto_suspend,
            period_start=standing.period_start,
            period_end=standing.period_end,
            spent_usd=standing.posted,
            held_usd=standing.held,
            remaining_usd=standing.remaining,
            is_suspended=is_suspended,
            suspended_at=standing.suspended_at if is_suspended else None,
            suspended_until=standing.suspended_until if is_suspended else None,
            created_by=budget.created_by,
            created_at=budget.created_at,
            updated_at=budget.updated_at,
        )


def _subject_on_wire(subject: Subject) -> str | None:
    if subject.scope is SpendScope.API_KEY:
        return encode_id("key", UUID(subject.name))
    return subject.name or None


class BudgetReasonIn(InputModel):
    reason: Reason | None = None


class OverrideIn(InputModel):
    """Who may pass, until when, and why. Without `user_id` everybody may; without an end, a day."""

    user_id: Label | None = Field(
        default=None, description="As events name the user, or the id of a member (`usr_…`)."
    )
    until: InstantIn | None = None
    duration_hours: Annotated[int, Field(ge=1, le=8784)] | None = None
    reason: Reason

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.until is not None and self.duration_hours is not None:
            raise ValueError("until or duration_hours, not both")
        return self

    def end(self, now: datetime) -> datetime:
        return self.until or now + timedelta(hours=self.duration_hours or 24)


class OverrideOut(OutputModel):
    id: OverrideId
    budget_id: BudgetId
    user_id: str | None
    until: Instant
    reason: str
    granted_by: ActorOut
    granted_at: Instant

    @classmethod
    def of(cls, grant: Grant) -> OverrideOut:
        return cls.model_validate(grant)


class _Labels(InputModel):
    workspace: Label | None = None
    user_id: Label | None = None
    debate_id: Label | None = None
    provider: Label | None = None
    model: Label | None = None

    def labels(self, api_key_id: UUID | None) -> SpendLabels:
        return SpendLabels(
            self.workspace,
            self.user_id,
            api_key_id,
            self.debate_id,
            self.provider,
            self.model,
        )


class SpendCheckIn(_Labels):
    amount_usd: Amount
    api_key_id: KeyId | None = Field(
        default=None, description="Left out, the key that the request came with."
    )


class BudgetVerdictOut(BudgetOut):
    """A budget, and what it says."""

    allowed: bool
    reason: Refusal | None


class SpendCheckOut(OutputModel):
    """Advice: nothing is held, and by the time of spending it may be otherwise."""

    allowed: bool
    reason: Refusal | None
    budgets: list[BudgetVerdictOut]


class SpendIn(_Labels):
    """Money spent on something that is not a call to a model."""

    id: Annotated[str, Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Your id for it; without one, the `Idempotency-Key` serves."
    )
    amount_usd: Amount
    occurred_at: InstantIn | None = None
    description: Reason | None = None


class SpendOut(OutputModel):
    id: str
    event_id: EventId
    status: Literal["recorded", "duplicate"]
    amount_usd: DecimalString
    budgets: list[BudgetOut] = Field(description="Those it counts towards, after it.")


class AlertOut(OutputModel):
    """A threshold that was reached in a period; once."""

    id: AlertId
    budget_id: BudgetId
    budget_name: str
    period_start: Instant
    fraction: DecimalString
    action: ThresholdAction
    amount_usd: DecimalString
    spent_usd: DecimalString
    held_usd: DecimalString
    is_suspended: bool
    raised_at: Instant

    @classmethod
    def of(cls, alert: Alert) -> AlertOut:
        return cls.model_validate(alert)
