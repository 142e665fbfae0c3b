"""Every check holds of a lively account, and fires when what it watches is broken by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import URL, text

from app.discounts.domain import Terms
from app.discounts.service.codes import PromoCodeService
from app.doctor.checks import CHECKS
from app.doctor.domain import Check, CheckState
from app.doctor.queries import DoctorQueries
from app.doctor.service import Doctor
from app.infra.db.engine import asyncpg_arguments
from app.kernel.clock import ManualClock
from app.kernel.ids import new_id
from app.usage.kept import hours_kept_from
from tests.conftest import START
from tests.factories.billing import act, generate, spend
from tests.factories.operators import an_operator
from tests.factories.people import an_owner
from tests.factories.subscriptions import ask, subscribed
from tests.features.credits.test_use import A_CENT, a_prepaid, call, settle
from tests.features.doctor.faults import BRANCHES, FAULTS
from tests.features.usage.test_invariants import FAULTS as USAGE_FAULTS
from tests.support import database
from tests.support.service import Service
from tests.support.staying import staying_signed_in
from tests.support.stripe_account import Shop, a_shop

# One worker runs them all, so that what they share is started once.
pytestmark = pytest.mark.xdist_group("doctor")

ROOT = Path(__file__).resolve().parents[3]
DOCTOR = "/api/v1/admin/doctor"
BY_NAME = {check.name: check for check in CHECKS}


@pytest.fixture(scope="module")
async def shop(postgres: URL, database_url: URL) -> AsyncIterator[Shop]:
    """A shop with a customer of Stripe's who has stopped paying, and one of our own."""
    name = f"{database.TEMPLATE}_{new_id().hex}"
    url = await database.clone(postgres, name)
    async with a_shop(url, ManualClock(START)) as open_shop:
        operator = await staying_signed_in(open_shop.service, await an_operator(open_shop.service))
        await billed_by_us(open_shop.service, operator)
        await billed_by_stripe(open_shop, operator)
        await paid_from_credit(open_shop.service)
        await take_guards_away(open_shop.service)
        yield open_shop
    await database.drop(postgres, name)


async def billed_by_us(service: Service, operator: httpx.AsyncClient) -> None:
    owner = await an_owner(service, "enterprise_plus")
    code = await service.services[PromoCodeService].create(
        "TENTH", Terms(percent=Decimal(10)), actor="system"
    )
    await post(owner.client, "/billing/promo-codes/apply", code=code.code, checkout_id="one")
    await post(operator, "/admin/credits/grants", organization_id=owner.id, amount=1000)
    await spend(owner, "one", START, 300)
    for ending in ("void", "mark-paid"):
        draft = await generate(operator, owner, "2026-11", tax_rate="0.1")
        await act(operator, draft, "finalize")
        invoice = await act(operator, draft, ending)
    await post(
        operator,
        f"/admin/invoices/{invoice['id']}/credit-notes",
        reason="Goodwill",
        kind="goodwill",
        lines=[{"line": 0, "amount": 500}],
    )


async def billed_by_stripe(shop: Shop, operator: httpx.AsyncClient) -> None:
    owner = await subscribed(shop)
    await staying_signed_in(shop.service, owner.client)
    await post(owner.client, "/budgets", name="All", amount_usd="10")
    (charge,) = await shop.rows("select stripe_charge_id from charges")
    await post(
        operator,
        "/admin/refunds",
        charge_id=charge["stripe_charge_id"],
        amount=1000,
        reason="requested_by_customer",
    )
    await shop.deliver()
    assert (await ask(owner, "cancel")).status_code == 200
    assert (await ask(owner, "resume")).status_code == 200
    await shop.decline_from_now_on()
    await shop.advance(days=31, hours=2)
    await post(owner.client, "/usage/reservations", metric="debates", estimated_cost_usd="0.1")


async def paid_from_credit(service: Service) -> None:
    owner = await a_prepaid(service, 1000)
    await call(owner, "one", 30 * A_CENT)
    await settle(service, owner)


async def take_guards_away(service: Service) -> None:
    """Much of what is broken here the database itself would refuse."""
    async with service.work.begin_platform() as session:
        guards = await session.execute(
            text(
                "select conrelid::regclass::text, conname from pg_constraint"
                " where connamespace = 'public'::regnamespace and contype in ('c', 'f')"
                " and conrelid <> 0 and coninhcount = 0"
            )
        )
        for table, name in guards.all():
            await session.execute(text(f'alter table {table} drop constraint "{name}"'))


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> None:
    headers = {"Idempotency-Key": new_id().hex}
    answer = await client.post(f"/api/v1{path}", json=body, headers=headers)
    assert answer.status_code in (200, 201), answer.text


async def rows_of(shop: Shop, check: Check) -> int:
    now = shop.clock.now()
    given = {
        "organization_id": None,
        "now": now,
        "hours_from": hours_kept_from(now),
        "events_from": None,
    }
    found = await DoctorQueries(shop.service.work).ask(check, given, 5)
    assert found is not None
    return found[0]


def test_there_are_enough_checks_and_each_can_be_broken() -> None:
    assert len(CHECKS) == len(BY_NAME) >= 25
    assert set(FAULTS) | set(USAGE_FAULTS) == set(BY_NAME)


async def test_a_lively_account_is_healthy(shop: Shop) -> None:
    report = await shop.service.services[Doctor].examine()
    assert [one for one in report.findings if one.state is not CheckState.OK] == []
    assert report.is_healthy


class Undone(Exception):
    """What was broken is whole again."""


@pytest.mark.parametrize(("name", "faults"), [*FAULTS.items(), *BRANCHES])
async def test_a_check_fires_when_what_it_watches_is_broken(
    shop: Shop, name: str, faults: tuple[str, ...]
) -> None:
    check = BY_NAME[name]
    with pytest.raises(Undone):
        async with shop.service.work.begin_platform() as session:
            for fault in faults:
                await session.execute(text(fault))
            assert await rows_of(shop, check) > 0
            raise Undone
    async with shop.service.work.begin_platform():
        assert await rows_of(shop, check) == 0


async def test_operators_are_told_what_is_broken_and_where(shop: Shop) -> None:
    operator = await an_operator(shop.service)
    healthy = (await operator.get(DOCTOR)).json()
    assert (healthy["healthy"], len(healthy["checks"])) == (True, len(CHECKS))
    async with shop.service.work.begin_platform() as session:
        await session.execute(text("update promo_codes set uses = uses + 1"))
    try:
        sick = (await operator.get(DOCTOR)).json()
        (found,) = [one for one in sick["checks"] if one["state"] != "ok"]
        assert (found["name"], found["violations"]) == ("discounts.codes_count_their_uses", 1)
        assert found["examples"][0]["code"] == "TENTH"
        assert sick["healthy"] is False
        assert metric("discounts.codes_count_their_uses") == 1
    finally:
        async with shop.service.work.begin_platform() as session:
            await session.execute(text("update promo_codes set uses = uses - 1"))
    await shop.service.services[Doctor].examine()
    assert metric("discounts.codes_count_their_uses") == 0


def metric(check: str) -> float | None:
    return REGISTRY.get_sample_value("billing_invariant_violations", {"check": check})


async def test_a_check_that_takes_too_long_is_unfinished_and_stops_no_other(shop: Shop) -> None:
    slow = Check("slow", "Sleep is over.", "select pg_sleep(30)")
    broken = Check("after", "There is nothing.", "select 1 as one")
    doctor = Doctor(
        shop.service.work,
        DoctorQueries(shop.service.work),
        shop.clock,
        checks=[slow, broken],
        seconds_a_check=1,
    )
    report = await doctor.examine()
    assert [one.state for one in report.findings] == [CheckState.UNFINISHED, CheckState.BROKEN]
    assert not report.is_healthy


async def test_a_check_cannot_write(shop: Shop) -> None:
    writing = Check("w", "x", "select * from promo_codes for update")
    doctor = Doctor(
        shop.service.work, DoctorQueries(shop.service.work), shop.clock, checks=[writing]
    )
    with pytest.raises(Exception, match="read-only transaction"):
        await doctor.examine()


async def test_the_command_says_so_with_its_exit_code(fresh_url: URL, tmp_path: Path) -> None:
    assert visit(fresh_url, tmp_path) == (0, f"{len(CHECKS)} checks, 0 not all right.")
    connection = await asyncpg.connect(**asyncpg_arguments(fresh_url))
    await connection.execute(FAULTS["jobs.none_failed"][0])
    await connection.close()
    assert visit(fresh_url, tmp_path) == (1, f"{len(CHECKS)} checks, 1 not all right.")


def visit(url: URL, directory: Path) -> tuple[int, str]:
    """The command's exit code and its last line; a process of its own, as it sets up logging."""
    told = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    outcome = subprocess.run(
        [sys.executable, "-m", "app.cli", "doctor"],
        cwd=ROOT,
        env={**os.environ, **told, "ARAGORA_DATA_DIR": str(directory)},
        capture_output=True,
        text=True,
        check=False,
    )
    return outcome.returncode, outcome.stdout.splitlines()[-1]
