"""The figures of a period that is to be billed: complete, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.catalog.service import CatalogService
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.ids import OrganizationId
from app.kernel.periods import Period
from app.pricing.domain import Tokens
from app.usage.closed import ClosedLine, ClosedUsage, LineProof
from app.usage.domain import Meters
from app.usage.errors import UsageUnpriced
from app.usage.repository.costs import CostRepository
from app.usage.service.archive import ArchivedMonths

_BETWEEN = "\x1f"


class UsageClosing:
    """Adds up the events themselves in one snapshot: an invoice rests on what happened, and a
    price that is missing stops it (rule 4) rather than making part of it free."""

    def __init__(
        self,
        work: UnitOfWork,
        costs: CostRepository,
        catalogs: CatalogService,
        archived: ArchivedMonths,
    ) -> None:
        self._work = work
        self._costs = costs
        self._archived = archived
        self._meters = Meters(catalogs.active)

    async def figures(
        self,
        organization_id: OrganizationId,
        period: Period,
        digests_of: Sequence[Period] = (),
        *,
        proving: bool = False,
    ) -> ClosedUsage:
        """The totals of *period* by metric, model and token role.

        *proving* adds what an invoice's proof says of the events: more work, one statement still.

        Raises `UsageUnpriced`, which names the models, while anything in it waits for a price,
        and `EventArchived` when its events have left the database.
        Events that arrive later are not in it; they belong on the next invoice.

        With it, in the same snapshot, a digest of the usage of each of *digests_of*, from rollups
        of its whole days. It changes whenever events of the period are added, voided or priced, and
        when it turns out that calls in it were or were not paid from credit. A change on the days
        at the ends may lie outside of the period: then nothing in it moved, and rating says so.
        """
        async with self._work.begin(organization_id):
            await self._archived.refuse(period.start, period.end)
            digests, drawing, rows = await self._costs.closing(
                organization_id, period, digests_of, proving=proving
            )
        waiting: dict[tuple[str, str], int] = {}
        lines: list[ClosedLine] = []
        for event_type, provider, model, from_credit, events, unpriced, *sums in rows:
            if unpriced:
                waiting[provider, model] = waiting.get((provider, model), 0) + unpriced
            quantity, tokens_in, cached, written, tokens_out, reasoning, cost, *proof = sums
            lines.append(
                ClosedLine(
                    metric=self._metric(event_type),
                    provider=provider,
                    model=model,
                    events=events,
                    quantity=Decimal(quantity),
                    tokens=Tokens(
                        int(tokens_in - cached - written),
                        int(cached),
                        int(written),
                        int(tokens_out),
                        int(reasoning),
                    ),
                    cost_usd=Decimal(cost),
                    proof=_proof(event_type, *proof) if proof else None,
                    from_credit=from_credit,
                )
            )
        if waiting:
            raise UsageUnpriced(
                events=sum(waiting.values()),
                models=[
                    {"provider": provider, "model": model, "events": count}
                    for (provider, model), count in sorted(waiting.items())
                ],
            )
        digests = [
            print_ + _digest_of(_within(each, drawing))
            for print_, each in zip(digests, digests_of, strict=True)
        ]
        return ClosedUsage(period, lines, digests, _within(period, drawing))

    def _metric(self, event_type: str) -> str:
        """The catalog's name for it; a type that the catalog has dropped keeps its own."""
        found = self._meters.event_type_of
        return next((metric for metric, name in found.items() if name == event_type), event_type)


def _within(
    period: Period, stretches: Sequence[tuple[datetime, datetime | None]]
) -> tuple[Period, ...]:
    cut = (
        (max(start, period.start), period.end if end is None else min(end, period.end))
        for start, end in stretches
    )
    return tuple(
        Period(start.astimezone(UTC), end.astimezone(UTC)) for start, end in cut if start < end
    )


def _digest_of(stretches: Sequence[Period]) -> str:
    """Changes when what was paid from credit does; empty where nothing was."""
    if not stretches:
        return ""
    told = [(each.start.isoformat(), each.end.isoformat()) for each in stretches]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _proof(event_type: str, digest: str, priced_by: list[list[str]]) -> LineProof:
    ids: set[UUID] = set()
    sources: set[str] = set()
    for named in {name for day in priced_by for name in day}:
        source, _, rest = named.partition(_BETWEEN)
        reference, _, rows = rest.partition(_BETWEEN)
        if source:
            sources.add(f"{source} {reference}".strip())
        ids.update(UUID(row) for row in rows.split(",") if row)
    return LineProof(event_type, digest, tuple(sorted(ids)), tuple(sorted(sources)))
