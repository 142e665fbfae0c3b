"""Reports on the wire."""

from __future__ import annotations

from app.infra.http.schemas import Instant, OutputModel
from app.kernel.ids import encode_id
from app.reconciliation.domain import DifferenceKind, Report


class DifferenceOut(OutputModel):
    """One thing that was not as Stripe has it."""

    kind: DifferenceKind
    object_id: str
    organization_id: str | None
    ours: str | None
    theirs: str | None
    is_repaired: bool


class ReconciliationOut(OutputModel):
    """What a run looked at, and what it found."""

    id: str
    started_at: Instant
    finished_at: Instant
    trigger: str
    events: int
    customers: int
    subscriptions: int
    invoices: int
    is_round_complete: bool
    error: str | None
    by_kind: dict[str, int]
    differences: list[DifferenceOut]

    @classmethod
    def from_domain(cls, report: Report) -> ReconciliationOut:
        return cls(
            id=encode_id("rec", report.id),
            started_at=report.started_at,
            finished_at=report.finished_at,
            trigger=report.trigger,
            events=report.events,
            customers=report.customers,
            subscriptions=report.subscriptions,
            invoices=report.invoices,
            is_round_complete=report.is_round_complete,
            error=report.error,
            by_kind=dict(report.by_kind),
            differences=[DifferenceOut.model_validate(each) for each in report.differences],
        )
