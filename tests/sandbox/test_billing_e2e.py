"""An outsider's end-to-end scenarios, played on test clocks by the outsider's own runner."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe

from app.kernel.clock import ManualClock, SystemClock
from tests.sandbox.conftest import CATALOG, running

billing_e2e = pytest.importorskip("billing_e2e", reason="billing-e2e is not installed")
SCENARIOS = sorted((Path(billing_e2e.__file__).parent / "scenarios").glob("*.yml"))
KEY = "sk_test_sandbox"


def _play(path: Path, base_url: str) -> Any:
    """Runs in a thread: the runner waits and asks without asyncio."""
    from billing_e2e.runner import Runner
    from billing_e2e.scenario import Config, load_scenario

    config = Config(
        stripe_key=KEY,
        base_url=base_url,
        vars={"monthly_price": "price_starter", "upgrade_price": "price_pro"},
    )
    wire = stripe.RequestsClient()
    client = stripe.StripeClient(KEY, base_addresses={"api": base_url}, http_client=wire)
    try:
        with httpx.Client(base_url=base_url) as http:
            return Runner(config, client, http).run(load_scenario(path))
    finally:
        wire.close()


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_a_scenario_passes(path: Path) -> None:
    # The runner looks for events since the machine's now, so the account lives in it too.
    async with running(clock=ManualClock(SystemClock().now())) as account:
        await account.control("seed", **CATALOG)
        result = await asyncio.to_thread(_play, path, account.base_url)
        assert [(step.label, step.detail) for step in result.steps if not step.passed] == []
        assert result.errors == []
        assert result.passed
        assert len(result.steps) >= 6


def test_there_are_scenarios() -> None:
    assert len(SCENARIOS) >= 5
