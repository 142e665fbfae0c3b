"""`stripe-setup` against the bundled sandbox: everything that is sold, once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.cli.stripe_setup import EVENTS
from app.gateways.stripe.live_setup import API_VERSION
from app.kernel.clock import ManualClock
from tests.support.long import LONG
from tests.support.process import ROOT
from tests.support.stripe_account import Account, an_account

WEBHOOK = "https://billing.example.com/api/v1/webhooks/stripe"
METERED = (
    *("--metered", "tokens_input=0.0003", "--metered", "tokens_output=0.0012"),
    *("--metered", "debates=5"),
)


@pytest.fixture
async def account(clock: ManualClock) -> AsyncIterator[Account]:
    async with an_account(clock) as account:
        await account.control("reset")
        yield account


async def set_up(
    account: Account, home: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    # The sandbox answers from this process, so the loop must go on meanwhile.
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "app.cli", "stripe-setup", *arguments],
        env={
            "PYTHONPATH": str(ROOT),
            "STRIPE_SECRET_KEY": "sk_test_sandbox",
            "STRIPE_API_BASE": account.base_url,
            **environment,
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def lines(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert done.returncode == 0, done.stderr
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


async def test_a_second_run_finds_everything_and_makes_nothing(
    account: Account, tmp_path: Path
) -> None:
    first = lines(
        await set_up(account, tmp_path, *METERED, ARAGORA_PUBLIC_URL="https://billing.example.com")
    )
    assert set(first) == {
        *(
            f"STRIPE_PRICE_{plan}{suffix}"
            for plan in ("STARTER", "PROFESSIONAL", "ENTERPRISE", "ENTERPRISE_PLUS")
            for suffix in ("", "_YEARLY")
        ),
        *(f"STRIPE_METERED_{metric}" for metric in ("TOKENS_INPUT", "TOKENS_OUTPUT", "DEBATES")),
        "STRIPE_PORTAL_CONFIGURATION",
        "STRIPE_WEBHOOK_SECRET",
    }
    [portal] = account.find("billing_portal.configuration")
    assert portal["id"] == first["STRIPE_PORTAL_CONFIGURATION"]
    on = {name for name, feature in portal["features"].items() if feature["enabled"]}
    assert on == {"invoice_history", "payment_method_update", "subscription_cancel"}
    assert portal["features"]["subscription_cancel"]["mode"] == "at_period_end"
    assert first["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")
    [yearly] = account.find("price", id=first["STRIPE_PRICE_PROFESSIONAL_YEARLY"])
    assert (yearly["unit_amount"], yearly["recurring"]["interval"]) == (299000, "year")
    [metered] = account.find("price", id=first["STRIPE_METERED_TOKENS_INPUT"])
    assert (metered["unit_amount_decimal"], metered["recurring"]["usage_type"]) == (
        "0.0003",
        "metered",
    )
    [endpoint] = account.find("webhook_endpoint")
    assert (endpoint["url"], endpoint["api_version"]) == (WEBHOOK, API_VERSION)
    assert set(endpoint["enabled_events"]) == set(EVENTS)

    kinds = (
        "product",
        "price",
        "billing.meter",
        "webhook_endpoint",
        "billing_portal.configuration",
    )
    before = {kind: account.find(kind) for kind in kinds}
    done = await set_up(account, tmp_path, *METERED, "--webhook-url", WEBHOOK)
    second = lines(done)
    assert second == {k: v for k, v in first.items() if k != "STRIPE_WEBHOOK_SECRET"}
    assert "made" not in done.stderr
    assert {kind: account.find(kind) for kind in kinds} == before
    # Metered prices that are put up already need not be said again.
    third = lines(await set_up(account, tmp_path, "--portal-plans"))
    assert third == second
    [portal] = account.find("billing_portal.configuration")
    plans = portal["features"]["subscription_update"]
    assert plans["enabled"]
    assert {price for one in plans["products"] for price in one["prices"]} == {
        price for name, price in first.items() if name.startswith("STRIPE_PRICE_")
    }


async def test_a_price_that_changed_is_a_new_price_under_the_same_name(
    account: Account, tmp_path: Path
) -> None:
    first = lines(await set_up(account, tmp_path, "--metered", "debates=5"))
    assert "STRIPE_METERED_TOKENS_INPUT" not in first, "nobody said what it costs"
    done = await set_up(account, tmp_path, "--metered", "debates=6")
    second = lines(done)
    assert second["STRIPE_METERED_DEBATES"] != first["STRIPE_METERED_DEBATES"]
    assert {k: v for k, v in second.items() if k != "STRIPE_METERED_DEBATES"} == {
        k: v for k, v in first.items() if k != "STRIPE_METERED_DEBATES"
    }
    assert "keep it" in done.stderr


@LONG
async def test_events_that_are_missing_are_added_and_the_secret_stays(
    account: Account, tmp_path: Path
) -> None:
    lines(await set_up(account, tmp_path, "--webhook-url", WEBHOOK))
    sandbox = account.app.state.sandbox
    [endpoint] = account.find("webhook_endpoint")
    with sandbox.unit():
        sandbox.save({**sandbox.get("webhook_endpoint", endpoint["id"]), "enabled_events": ["*"]})
    again = lines(await set_up(account, tmp_path, "--webhook-url", WEBHOOK))
    assert "STRIPE_WEBHOOK_SECRET" not in again
    [endpoint] = account.find("webhook_endpoint")
    assert set(endpoint["enabled_events"]) == set(EVENTS)


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ((), {"STRIPE_SECRET_KEY": ""}, "STRIPE_SECRET_KEY is not set"),
        (("--metered", "tokens_input"), {}, "is not like"),
        (("--metered", "moons=1"), {}, "no plan meters moons"),
        ((), {"STRIPE_SECRET_KEY": "sk_live_x"}, "ARAGORA_LIVEMODE"),
    ],
)
async def test_what_cannot_be_set_up_says_so(
    account: Account,
    tmp_path: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    says: str,
) -> None:
    done = await set_up(account, tmp_path, *arguments, **environment)
    assert done.returncode != 0
    assert says in " ".join(done.stderr.split())
    assert done.stdout == ""
