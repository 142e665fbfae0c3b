"""The run that closes a month: organizations with usage, each billed and issued once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from time import perf_counter
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from app.infra.settings import Settings
from app.invoices.service.running import InvoiceRun
from app.kernel.clock import ManualClock
from app.wiring import build_services
from benchmarks.bench import Bench, measured, with_facts
from benchmarks.measured import Case, Failed, Sample
from benchmarks.stage import Stage

ORGANIZATIONS = 2_000
EVENTS = 20
MONTH = datetime(2026, 1, 1, tzinfo=UTC)
"""A month of its own: nobody else's events lie in it."""

_PLANT = f"""
insert into organizations (
    id, name, slug, plan, catalog_version, limits, features, is_suspended, is_disputed, created_at
)
select gen_random_uuid(), 'Closing', 'closing-{{run}}-' || n, 'enterprise_plus',
    (select id from catalog_versions order by created_at limit 1), '{{{{}}}}', '[]', false, false,
    '2025-12-01'
from generate_series(1, {{count}}) as n;
insert into usage_events (
    organization_id, id, occurred_at, event_key, event_type, quantity, provider, model, tokens_in,
    tokens_out, cached_tokens, cache_write_tokens, reasoning_tokens, cost_usd, window_start,
    counted, created_at
)
select o.id, uuid_at.id, at, 'e' || n, 'tokens', 1, 'anthropic', 'claude-sonnet-4', 1000, 100, 0,
    0, 0, 0.0045, '2026-01-01', '{{{{}}}}', at
from organizations o
cross join generate_series(1, {EVENTS}) as n
cross join lateral (select timestamptz '2026-01-02' + n * interval '1 day' as at) as t
cross join lateral (
    select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(o.id::text || n), 1, 3) || '8' || substr(md5(n || o.id::text), 1, 15))::uuid
        as id
) as uuid_at
where o.slug like 'closing-{{run}}-%';
analyze usage_events;
"""


def _services_on(here: Stage) -> tuple[InvoiceRun, AsyncEngine]:
    settings = Settings.model_validate({**here.environment, "ARAGORA_INVOICE_GRACE_HOURS": "0"})
    services = build_services(settings, clock=ManualClock(datetime(2026, 2, 1, 1, tzinfo=UTC)))
    return services[InvoiceRun], services[AsyncEngine]


async def close(bench: Bench, run: int) -> Sample:
    """One runner, in this process; latencies and statements are per organization."""
    here = bench.fast
    count = bench.count(ORGANIZATIONS, least=50)
    await here.database.execute(*_PLANT.format(run=run, count=count).split(";\n")[:-1])
    runner, engine = _services_on(here)
    latencies: list[float] = []

    async def work() -> tuple[float, Sequence[float]]:
        begun = last = perf_counter()

        def tell(_: UUID) -> None:
            nonlocal last
            now = perf_counter()
            latencies.append(now - last)
            last = now

        report = await runner.close(tell=tell)
        if report.issued != count or report.failed:
            raise Failed(f"{report.issued} invoices of {count}, {report.failed} failed")
        return perf_counter() - begun, latencies

    try:
        sample = await measured(here, [], work, units=count)
    finally:
        await engine.dispose()
        await here.database.execute(
            f"delete from organizations where slug like 'closing-{run}-%'",
        )
    return with_facts(sample, organizations=float(count))


CASES = (
    Case(
        "close-month",
        f"closing a month: organizations with {EVENTS} events each, issued (per organization)",
        close,
        times=1,
    ),
)
