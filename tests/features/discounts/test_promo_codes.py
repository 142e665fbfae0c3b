"""Codes are used as often as they may be, by whoever may, and once for a purchase."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import URL, text

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.discounts.domain import Channel, Terms
from app.discounts.errors import CodeRefused
from app.discounts.invariants import INVARIANTS
from app.discounts.models import PromoCode
from app.discounts.repository import PromoCodeRepository, RedemptionRepository
from app.discounts.service.book import DiscountsOfInvoices
from app.discounts.service.codes import PromoCodeService
from app.discounts.service.redeeming import Redeeming, Wish
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import ManualClock
from app.kernel.ids import OrganizationId, new_id
from app.kernel.money import Currency, Money
from app.kernel.periods import Period
from app.kernel.settling import DiscountStage, DiscountTaken, Purchase
from tests.conftest import START
from tests.factories.invoices import a_stripe_invoice
from tests.factories.operators import an_operator
from tests.factories.people import Owner, an_owner
from tests.support.service import Service, running

ADMIN = "/api/v1/admin/promo-codes"
VALIDATE = "/api/v1/billing/promo-codes/validate"
APPLY = "/api/v1/billing/promo-codes/apply"
MONTH = Period(START, START + timedelta(days=30))


def a_name() -> str:
    return f"W-{new_id().hex[-12:]}"


async def a_code(operator: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    body = {"code": a_name(), "discount_percent": "50", **fields}
    if "discount_amount" in fields:
        del body["discount_percent"]
    answer = await operator.post(ADMIN, json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def make(service: Service, **terms: Any) -> str:
    name = a_name()
    await service.services[PromoCodeService].create(
        name, Terms(**{"percent": Decimal(50), **terms}), actor="system"
    )
    return name


async def apply(owner: Owner, code: str, checkout: str = "one", **fields: Any) -> httpx.Response:
    body = {"code": code, "checkout_id": checkout, **fields}
    return await owner.client.post(APPLY, json=body)


async def broken(service: Service) -> list[str]:
    async with service.work.begin_platform() as session:
        return [
            name
            for name, (_, sql) in INVARIANTS.items()
            if (await session.execute(text(sql), {"organization_id": None})).all()
        ]


async def uses_of(operator: httpx.AsyncClient, made: dict[str, Any]) -> int:
    return int((await operator.get(f"{ADMIN}/{made['id']}")).json()["uses"])


async def test_a_code_is_made_validated_and_applied(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    made = await a_code(operator, max_uses=1000, description="50% off first month")
    assert made["id"].startswith("prm_")
    assert (made["discount_percent"], made["uses"], made["is_active"]) == ("50", 0, True)
    typed = made["code"].lower()
    body = {"code": typed, "amount": 29900, "plan": "professional"}
    quote = (await owner.client.post(VALIDATE, json=body)).json()
    assert quote == {
        "valid": True,
        "code": made["code"],
        "reason": None,
        "message": None,
        "discount_percent": "50",
        "discount_amount": 14950,
        "final_amount": 14950,
        "currency": "usd",
    }
    assert await uses_of(operator, made) == 0
    used = await apply(owner, typed, amount=29900)
    assert used.status_code == 201, used.text
    assert (used.json()["discount_amount"], used.json()["state"]) == (14950, "active")
    assert (await apply(owner, typed, amount=29900)).json() == used.json()
    assert await uses_of(operator, made) == 1
    second = await apply(owner, typed, "two")
    assert (second.status_code, second.json()["code"]) == (422, "promo_code_used_before")
    quote = (await owner.client.post(VALIDATE, json=body)).json()
    assert (quote["valid"], quote["reason"]) == (False, "promo_code_used_before")
    listed = (await owner.client.get("/api/v1/billing/promo-codes")).json()["data"]
    assert [one["code"] for one in listed] == [made["code"]]


async def test_a_fixed_amount_never_takes_more_than_the_purchase(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    made = await a_code(operator, discount_amount=5000)
    body = {"code": made["code"], "amount": 3000}
    quote = (await owner.client.post(VALIDATE, json=body)).json()
    assert (quote["discount_amount"], quote["final_amount"]) == (3000, 0)


async def test_what_nobody_made_does_not_apply(service: Service) -> None:
    owner = await an_owner(service)
    quote = (await owner.client.post(VALIDATE, json={"code": "NONE"})).json()
    assert (quote["valid"], quote["reason"]) == (False, "promo_code_unknown")
    answer = await apply(owner, "NONE")
    assert (answer.status_code, answer.json()["code"]) == (422, "promo_code_unknown")
    unnamed = await owner.client.post(APPLY, json={"code": "NONE"})
    assert (unnamed.status_code, unnamed.json()["code"]) == (422, "redemption_unnamed")


@pytest.mark.parametrize(
    "fields",
    [
        {"code": "no spaces"},
        {"code": "ab"},
        {"discount_percent": "0"},
        {"discount_percent": "100.01"},
        {"discount_percent": "10", "discount_amount": 5},
        {"discount_percent": None},
        {"max_uses": 0},
        {"periods": 0},
        {"starts_at": "2027-01-02T00:00:00Z", "expires_at": "2027-01-01T00:00:00Z"},
        {"surprise": 1},
    ],
)
async def test_what_is_no_code_is_refused(service: Service, fields: dict[str, Any]) -> None:
    operator = await an_operator(service)
    body = {"code": a_name(), "discount_percent": "50", **fields}
    assert (await operator.post(ADMIN, json=body)).status_code == 422


async def test_one_name_is_one_code_also_at_once(service: Service) -> None:
    operator = await an_operator(service)
    name = a_name()
    bodies = [
        {"code": name if number % 2 else name.upper(), "discount_percent": "5"}
        for number in range(6)
    ]
    answers = await asyncio.gather(*(operator.post(ADMIN, json=body) for body in bodies))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 5}
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"promo_code_taken"}


async def test_a_code_is_switched_off_and_stays_used(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    made = await a_code(operator, max_uses_per_org=None)
    assert (await apply(owner, made["code"])).status_code == 201
    path = f"{ADMIN}/{made['id']}"
    for _ in range(2):
        off = await operator.patch(path, json={"is_active": False})
        assert (off.status_code, off.json()["is_active"], off.json()["uses"]) == (200, False, 1)
    refused = await apply(owner, made["code"], "two")
    assert refused.json()["code"] == "promo_code_inactive"
    await operator.patch(path, json={"is_active": True})
    assert (await apply(owner, made["code"], "two")).status_code == 201


async def test_of_1001_at_once_1000_win(fresh_url: URL) -> None:
    async with running(fresh_url, ManualClock(START)) as service:
        code = await make(service, max_uses=1000)
        redeeming, gate = service.services[Redeeming], asyncio.Semaphore(30)

        async def use(tenant: OrganizationId) -> str:
            async with gate:  # as many as there are connections; the rest waits outside
                try:
                    await redeeming.redeem(tenant, Wish(code, "one", "system"))
                except CodeRefused as refusal:
                    return refusal.code
                return "used"

        tenants = [OrganizationId(new_id()) for _ in range(1001)]
        assert Counter(await asyncio.gather(*(use(tenant) for tenant in tenants))) == {
            "used": 1000,
            "promo_code_used_up": 1,
        }
        assert await broken(service) == []


class Unlocked(PromoCodeRepository):
    """The safety taken away: the code is read and not held, and its uses are not counted."""

    async def claim(self, code_id: UUID) -> PromoCode:
        return await self.get(code_id)

    async def count_use(self, code_id: UUID) -> bool:
        await asyncio.sleep(0.05)
        return True


@pytest.mark.parametrize("is_safe", [True, False])
async def test_ten_purchases_of_one_organization_use_a_code_once(
    fresh_url: URL, is_safe: bool
) -> None:
    async with running(fresh_url, ManualClock(START)) as service:
        owner = await an_owner(service)
        code = await make(service)
        redeeming = service.services[Redeeming]
        if not is_safe:
            redeeming = Redeeming(
                service.work,
                Unlocked(service.work),
                RedemptionRepository(service.work),
                service.services[AuditLog],
                service.clock,
                service.services[CatalogService],
            )
        outcomes = await asyncio.gather(
            *(
                redeeming.redeem(owner.organization_id, Wish(code, f"{number}", "system"))
                for number in range(10)
            ),
            return_exceptions=True,
        )
        used = [one for one in outcomes if not isinstance(one, BaseException)]
        if is_safe:
            assert len(used) == 1
            assert await broken(service) == []
        else:
            assert len(used) > 1
            assert "discounts.no_code_is_overused" in await broken(service)


async def test_a_held_use_counts_and_comes_back(service: Service) -> None:
    owner, other = await an_owner(service), await an_owner(service)
    code = await make(service, max_uses=1)
    redeeming = service.services[Redeeming]
    wish = Wish(code, "checkout:1", "system", channel=Channel.STRIPE)
    await redeeming.hold(owner.organization_id, wish)
    await redeeming.hold(owner.organization_id, wish)
    with pytest.raises(CodeRefused):
        await redeeming.redeem(other.organization_id, Wish(code, "x", "system"))
    for _ in range(2):
        await redeeming.release(owner.organization_id, "checkout:1")
    await redeeming.redeem(other.organization_id, Wish(code, "x", "system"))
    # Paid all the same, late: nothing breaks, the code stays within its limit.
    await redeeming.settle(owner.organization_id, "checkout:1")
    assert await broken(service) == []


async def test_a_settled_use_is_not_released(service: Service) -> None:
    owner = await an_owner(service)
    code = await make(service, max_uses=1)
    redeeming = service.services[Redeeming]
    await redeeming.hold(owner.organization_id, Wish(code, "checkout:1", "system"))
    await redeeming.settle(owner.organization_id, "checkout:1")
    await redeeming.release(owner.organization_id, "checkout:1")
    quote = await redeeming.quote(owner.organization_id, code)
    assert quote.refusal is not None
    assert await broken(service) == []


async def test_a_forgotten_hold_comes_back_after_two_days(service: Service) -> None:
    owner = await an_owner(service)
    code = await make(service, max_uses=1)
    redeeming = service.services[Redeeming]
    await redeeming.hold(owner.organization_id, Wish(code, "checkout:1", "system"))
    service.clock.advance(timedelta(hours=48))
    await redeeming.release_forgotten()
    assert (await redeeming.quote(owner.organization_id, code)).refusal is not None
    service.clock.advance(timedelta(seconds=1))
    await redeeming.release_forgotten()
    assert (await redeeming.quote(owner.organization_id, code)).refusal is None


def a_purchase(subtotal: int, *, paid_before: int = 0, plan: str = "enterprise") -> Purchase:
    return Purchase(new_id(), MONTH, plan, Money(subtotal), Money(paid_before))


async def test_an_invoice_takes_each_code_as_many_periods_as_it_holds(service: Service) -> None:
    owner = await an_owner(service)
    us = owner.organization_id
    book, redeeming = service.services[DiscountsOfInvoices], service.services[Redeeming]
    thrice = await make(service, periods=3)
    fixed = await make(service, percent=None, fixed=Money(700), minimum=Money(5000))
    for code in (thrice, fixed):
        await redeeming.redeem(us, Wish(code, "one", "system"))

    async def take(subtotal: int, **more: Any) -> tuple[UUID, list[str]]:
        purchase = a_purchase(subtotal, **more)
        discounts = await book.for_invoice(us, purchase)
        taken = [DiscountTaken(discount, Money(10)) for discount in discounts]
        for _ in range(2):
            await book.redeem(us, purchase.invoice_id, taken)
        return purchase.invoice_id, [discount.name for discount in discounts]

    names = {thrice: f"Promo code {thrice}", fixed: f"Promo code {fixed}"}
    assert (await take(4999))[1] == [names[thrice]]
    second, applied = await take(5000)
    assert applied == [names[thrice], names[fixed]]
    assert (await take(5000))[1] == [names[thrice]]
    assert (await take(5000))[1] == []
    for _ in range(2):
        await book.release(us, second)
    assert (await take(5000))[1] == [names[thrice], names[fixed]]
    assert await broken(service) == []


async def test_volume_comes_off_by_what_was_paid_before(service: Service) -> None:
    owner = await an_owner(service)
    book = service.services[DiscountsOfInvoices]
    below = await book.for_invoice(owner.organization_id, a_purchase(99, paid_before=9_999_99))
    assert below == []
    (discount,) = await book.for_invoice(
        owner.organization_id, a_purchase(99, paid_before=10_000_00)
    )
    assert (discount.stage, discount.percent) == (DiscountStage.VOLUME, Decimal(5))
    euros = Purchase(new_id(), MONTH, "x", Money(9, Currency("eur")), Money(10**9, Currency("eur")))
    assert await book.for_invoice(owner.organization_id, euros) == []


async def test_the_volume_discount_counts_paid_invoices_net_of_tax(service: Service) -> None:
    owner = await an_owner(service)
    path = "/api/v1/billing/volume-discount"
    fresh = (await owner.client.get(path)).json()
    assert (fresh["current_discount_percent"], fresh["amount_to_next_tier"]) == ("0", 1_000_000)
    assert [tier["percent"] for tier in fresh["tiers"]] == ["5", "10", "15", "20"]
    invoice = a_stripe_invoice(total=1_100_000, tax=100_000, status="paid")
    async with service.work.begin(owner.organization_id):
        await service.services[InvoiceMirror].record(owner.organization_id, invoice)
    now = (await owner.client.get(path)).json()
    assert (now["cumulative_spend"], now["current_discount_percent"]) == (1_000_000, "5")
    assert now["next_tier"] == {"from_amount": 5_000_000, "percent": "10"}


@pytest.mark.parametrize(
    ("name", "breaking"),
    [
        ("discounts.codes_count_their_uses", "update promo_codes set uses = uses + 1"),
        ("discounts.no_code_is_overused", "update promo_codes set max_uses_per_org = 0"),
        ("discounts.periods_are_invoices", "update promo_redemptions set periods_used = 1"),
    ],
)
async def test_each_invariant_sees_what_it_is_there_for(
    fresh_url: URL, name: str, breaking: str
) -> None:
    async with running(fresh_url, ManualClock(START)) as service:
        owner = await an_owner(service)
        code = await make(service)
        wish = Wish(code, "one", "system")
        await service.services[Redeeming].redeem(owner.organization_id, wish)
        assert await broken(service) == []
        async with service.work.begin_platform() as session:
            await session.execute(text(breaking))
        assert [one for one in await broken(service) if one == name]


async def test_with_only_a_plan_its_price_is_what_the_code_is_taken_off(service: Service) -> None:
    owner = await an_owner(service)
    code = await make(service)
    answer = await owner.client.post(
        "/api/v1/billing/promo-codes/validate", json={"code": code, "plan": "starter"}
    )
    quote = answer.json()
    assert (quote["valid"], quote["discount_amount"], quote["final_amount"]) == (True, 4950, 4950)
    unsold = await owner.client.post("/api/v1/billing/promo-codes/validate", json={"code": code})
    assert unsold.json()["final_amount"] is None
