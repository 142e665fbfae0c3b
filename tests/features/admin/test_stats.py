"""Totals are the sums of their rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, Select, delete
from sqlalchemy.exc import DBAPIError

from app.admin.domain import SoldSubscription, monthly_amount, summarize
from app.admin.queries import AdminQueries
from app.admin.service import AdminService
from app.catalog.service import CatalogService
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import PageRequest
from app.organizations.models import Organization
from app.subscriptions.models import Subscription
from tests.conftest import START
from tests.factories.operators import an_operator
from tests.support.service import Service, running

STATS = "/api/v1/admin/billing/stats"
STATUSES = ["active", "trialing", "past_due", "canceled", "unpaid", "incomplete", "paused"]


@pytest.fixture
async def platform(fresh_url: URL) -> AsyncIterator[Service]:
    """A service of which nobody else is a customer."""
    async with running(fresh_url, ManualClock(START)) as service:
        yield service


def an_organization(plan: str) -> Organization:
    row_id = new_id()
    return Organization(
        id=row_id,
        name=f"Organization {row_id}",
        slug=row_id.hex,
        plan=plan,
        catalog_version=None,
        limits={},
        features=[],
        seat_limit=None,
        stripe_customer_id=f"cus_{row_id.hex}",
        is_suspended=False,
        created_at=START,
    )


def a_subscription(organization_id: OrganizationId, **changes: Any) -> Subscription:
    row_id = new_id()
    values: dict[str, Any] = {
        "stripe_subscription_id": f"sub_{row_id.hex}",
        "stripe_customer_id": f"cus_{organization_id.hex}",
        "status": "active",
        "plan": "starter",
        "catalog_version": new_id(),
        "price_id": "price_1",
        "interval": "month",
        "amount": 9900,
        "currency": "usd",
        "created_at": START,
        "cancel_at_period_end": False,
        "awaits_first_payment": False,
        "is_duplicate": False,
        "applied_ticket": 1,
        "synced_at": START,
        **changes,
    }
    return Subscription(organization_id=organization_id, id=row_id, **values)


async def all_rows(operator: httpx.AsyncClient, path: str, **params: str) -> list[dict[str, Any]]:
    """Every row of a list, page by page, which all tell the same total."""
    rows: list[dict[str, Any]] = []
    totals: set[int] = set()
    cursor: str | None = None
    while True:
        query = {"limit": "7", **params, **({"cursor": cursor} if cursor else {})}
        page = (await operator.get(path, params=query)).json()
        rows += page["data"]
        totals.add(page["total"])
        cursor = page["next_cursor"]
        if not page["has_more"]:
            break
    assert totals == {len(rows)}
    return rows


async def test_an_empty_platform_has_zeros(platform: Service) -> None:
    stats = (await (await an_operator(platform)).get(STATS)).json()
    assert stats["total_customers"] == stats["monthly_revenue"] == 0
    assert stats["active_subscriptions"] == stats["trial_subscriptions"] == 0
    assert stats["currency"] == "usd"
    assert list(stats["tier_breakdown"]) == [
        "free",
        "starter",
        "professional",
        "enterprise",
        "enterprise_plus",
    ]


async def test_totals_are_the_sums_of_their_rows(platform: Service) -> None:
    plans = ["free", "starter", "professional", "enterprise", "a_plan_of_old"]
    amounts = [None, 0, 1, 4900, 9900, 29900, 118801]
    async with platform.work.begin_platform() as session:
        for number in range(60):
            organization = an_organization(plans[number * 7 % len(plans)])
            session.add(organization)
            if number % 4:
                session.add(
                    a_subscription(
                        OrganizationId(organization.id),
                        plan=plans[number * 3 % len(plans)],
                        status=STATUSES[number % len(STATUSES)],
                        amount=amounts[number * 5 % len(amounts)],
                        interval="year" if number % 3 == 0 else "month",
                        currency="eur" if number % 5 == 3 else "usd",
                    )
                )
    operator = await an_operator(platform)
    stats = (await operator.get(STATS)).json()
    tiers = stats["tier_breakdown"].values()
    customers = await all_rows(operator, "/api/v1/admin/billing/customers")
    subscriptions = await all_rows(operator, "/api/v1/admin/billing/subscriptions")

    assert stats["total_customers"] == sum(tier["count"] for tier in tiers) == len(customers) == 60
    active = [row for row in subscriptions if row["status"] in {"active", "past_due"}]
    trials = [row for row in subscriptions if row["status"] == "trialing"]
    assert active
    assert trials
    assert stats["active_subscriptions"] == sum(tier["active"] for tier in tiers) == len(active)
    assert stats["trial_subscriptions"] == sum(tier["trialing"] for tier in tiers) == len(trials)
    revenue = {
        currency: sum(row["monthly_revenue"] for row in active if row["currency"] == currency)
        for currency in ("usd", "eur")
    }
    assert stats["revenue_by_currency"] == revenue
    assert (
        stats["monthly_revenue"]
        == sum(tier["revenue"] for tier in tiers)
        == stats["revenue_by_currency"]["usd"]
        > 0
    )
    for name, tier in stats["tier_breakdown"].items():
        assert tier["count"] == sum(row["tier"] == name for row in customers)
        assert tier["active"] == sum(row["tier"] == name for row in active)
    assert all(row["monthly_revenue"] == 0 for row in trials)


async def test_subscriptions_are_filtered_by_status(platform: Service) -> None:
    async with platform.work.begin_platform() as session:
        for each in STATUSES:
            organization = an_organization("starter")
            session.add(organization)
            session.add(a_subscription(OrganizationId(organization.id), status=each))
    operator = await an_operator(platform)
    for status in STATUSES:
        rows = await all_rows(operator, "/api/v1/admin/billing/subscriptions", status=status)
        assert [row["status"] for row in rows] == [status]


class Interrupted(AdminQueries):
    """Lets a customer sign up and subscribe in the middle of an answer."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.work)
        self.service = service

    async def list_sold(self) -> list[SoldSubscription]:
        await self._interrupt()
        return await super().list_sold()

    async def _count(self, query: Select[Any]) -> int:
        await self._interrupt()
        return await super()._count(query)

    async def _interrupt(self) -> None:
        async def sign_up() -> None:
            async with self.service.work.begin_platform() as session:
                organization = an_organization("starter")
                session.add_all([organization, a_subscription(OrganizationId(organization.id))])

        await asyncio.create_task(sign_up())


async def test_an_answer_is_one_moment_though_customers_arrive(platform: Service) -> None:
    services = platform.services
    desk = AdminService(
        platform.work, Interrupted(platform), services[CatalogService], platform.clock
    )
    stats = await desk.stats()
    assert (stats.total_customers, stats.active_subscriptions) == (0, 0)
    customers = await desk.list_customers(PageRequest())
    assert customers.total == len(customers.page.items) == 1
    assert (await services[AdminService].stats()).total_customers == 2


async def test_operators_lists_write_nothing(platform: Service) -> None:
    async with platform.work.begin_platform() as session:
        await AdminQueries(platform.work).hold_still()
        with pytest.raises(DBAPIError, match="read-only"):
            await session.execute(delete(Organization))


sold = st.builds(
    SoldSubscription,
    plan=st.sampled_from(["free", "starter", "gone"]),
    status=st.sampled_from(STATUSES),
    amount=st.none() | st.integers(0, 10**9),
    currency=st.sampled_from(["usd", "eur"]),
    interval=st.sampled_from(["month", "year"]),
    count=st.integers(1, 50),
)


@given(st.lists(sold, max_size=30), st.dictionaries(st.sampled_from(["free", "x"]), st.integers(0)))
def test_no_row_is_lost_in_the_tiers(rows: list[SoldSubscription], tiers: dict[str, int]) -> None:
    stats = summarize(tiers, rows, tiers=["free", "starter"], currency="usd")
    assert stats.total_customers == sum(tiers.values())
    assert stats.active_subscriptions == sum(row.count for row in rows if row.is_earning)
    assert stats.trial_subscriptions == sum(row.count for row in rows if row.is_trial)
    assert stats.monthly_revenue == stats.revenue_by_currency.get("usd", 0)
    assert sum(stats.revenue_by_currency.values()) == sum(row.monthly for row in rows)


@pytest.mark.parametrize(
    ("amount", "interval", "monthly"),
    [
        (9900, "month", 9900),
        (99000, "year", 8250),
        (100, "year", 8),
        (6, "year", 1),
        (None, "month", 0),
    ],
)
def test_a_year_is_twelve_months(amount: int | None, interval: str, monthly: int) -> None:
    assert monthly_amount(amount, interval) == monthly
