"""Metered use on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.infra.http.schemas import DecimalString, Instant, OutputModel, prefixed_id
from app.metered import domain

BatchId = prefixed_id("mtb")
OrganizationIdOut = prefixed_id("org")


class MeteredPeriodOut(OutputModel):
    """The period that is billed, as Stripe has it."""

    start: Instant
    end: Instant


class MeteredUseOut(OutputModel):
    """One metered metric. `pending` is ours less Stripe's: what Stripe has yet to count."""

    metric: Annotated[str, Field(examples=["tokens_input"])]
    stripe_price_id: str
    total_usage: DecimalString
    reported: Annotated[DecimalString, Field(description="What Stripe has been told.")]
    waiting: Annotated[DecimalString, Field(description="What it will be told by itself.")]
    unreportable: Annotated[
        DecimalString, Field(description="What it would not take; an operator looks.")
    ]
    stripe_usage: Annotated[
        DecimalString | None,
        Field(description="What Stripe has counted; it lags. Null while it cannot be asked."),
    ]
    pending: DecimalString | None


class MeteredSummaryOut(OutputModel):
    """Use that Stripe bills, in the current period."""

    period: MeteredPeriodOut | None
    metered_since: Annotated[
        Instant | None, Field(description="What was used before is not billed by use.")
    ]
    as_of: Instant
    data: list[MeteredUseOut]

    @classmethod
    def from_domain(cls, summary: domain.MeteredSummary) -> MeteredSummaryOut:
        return cls(
            period=MeteredPeriodOut.model_validate(summary.period) if summary.period else None,
            metered_since=summary.metered_since,
            as_of=summary.as_of,
            data=[MeteredUseOut.model_validate(use) for use in summary.uses],
        )


class MeteredBatchOut(OutputModel):
    """A quantity that Stripe is told of; its identifier there is `usage:` and our id."""

    id: BatchId  # type: ignore[valid-type]
    organization_id: OrganizationIdOut  # type: ignore[valid-type]
    metric: str
    stripe_price_id: str
    stripe_customer_id: str
    identifier: str
    quantity: DecimalString
    is_correction: bool
    occurred_at: Instant
    told_as: Annotated[Instant | None, Field(description="As of when Stripe is told of it.")]
    state: Annotated[str, Field(examples=["sent"])]
    attempts: int
    sent_at: Instant | None
    failure: str | None

    @classmethod
    def from_domain(cls, batch: domain.Batch) -> MeteredBatchOut:
        return cls.model_validate(batch)
