"""The bundled Stripe sandbox as a child of `serve`, stocked with the catalog's prices."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.processes import Child

if TYPE_CHECKING:
    from app.catalog.domain import Catalog, Plan, PlanPrice

# It listens on this machine only and knows no real card, so its key is no secret; a fixed one
# lets people try the Stripe command line and SDKs on it.
SECRET_KEY = "sk_test_sandbox"  # noqa: S105
_HOST = "127.0.0.1"
# 12111 beside 8000: two services on one machine get a sandbox each.
_PORT_DISTANCE = 4111
_READY_SECONDS = 60.0

# A catalog may leave its prices to Stripe. Here the sandbox is Stripe, so it makes them up.
_INVENTED_CENTS = {"basic": 2_900, "pro": 9_900, "enterprise": 49_900}

# Minor units for each unit of use, where the catalog leaves it to Stripe.
_INVENTED_USE = {"tokens_input": "0.0003", "tokens_output": "0.0012", "debates": "5"}

# Everything, and those of the thin events that have no twin with the object in it.
_EVENTS = ["*", "v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"]


class SandboxFailed(RuntimeError):
    """The bundled Stripe sandbox did not start."""


class BundledStripe:
    """A Stripe account in one file below the data directory; it outlives the process."""

    def __init__(self, data_dir: Path, service_port: int) -> None:
        folder = data_dir.absolute()
        self._ready_file = folder / "sandbox.url"
        self.url = f"http://{_HOST}:{_free_port(service_port + _PORT_DISTANCE)}"
        self._child = Child(
            "stripe-sandbox",
            [
                *(sys.executable, "-m", "app.sandbox", "--exit-with-stdin"),
                *("--host", _HOST, "--port", self.url.rpartition(":")[2]),
                *("--db", str(folder / "sandbox.sqlite3"), "--secret-key", SECRET_KEY),
                *("--ready-file", str(self._ready_file)),
            ],
            os.environ,
        )

    def start(self) -> None:
        """Begin to start it; `prepare` waits until it answers."""
        self._ready_file.unlink(missing_ok=True)
        self._child.start()

    def prepare(self, catalog: Catalog, webhook_url: str) -> dict[str, str]:
        """Put up the catalog's prices and our webhook; give the environment that leads to it."""
        import httpx

        self._wait_ready()
        secret = f"whsec_{secrets.token_urlsafe(32)}"
        products, prices, environment = _stock(catalog)
        with httpx.Client(base_url=self.url, timeout=30, trust_env=False) as http:
            for path, body in (
                ("/_sandbox/seed", {"products": products, "prices": prices}),
                (
                    "/_sandbox/webhook_endpoints",
                    {"url": webhook_url, "secret": secret, "enabled_events": _EVENTS},
                ),
            ):
                answer = http.post(path, json=body)
                if not answer.is_success:
                    raise SandboxFailed(f"{path}: {answer.text}")
        return {
            **environment,
            "STRIPE_SECRET_KEY": SECRET_KEY,
            "STRIPE_API_BASE": self.url,
            "STRIPE_WEBHOOK_SECRET": secret,
            "ARAGORA_LIVEMODE": "false",
        }

    def look_after(self) -> None:
        self._child.look_after()

    def stop(self) -> None:
        self._child.ask_to_stop()
        self._child.wait_stopped(10)

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._ready_file.exists():
            if self._child.exit_code() is not None or time.monotonic() > deadline:
                raise SandboxFailed(SandboxFailed.__doc__)
            time.sleep(0.05)


def _stock(catalog: Catalog) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, str]]:
    products: list[dict[str, Any]] = []
    prices: list[dict[str, Any]] = []
    environment: dict[str, str] = {}
    for plan, price, cents, currency in _sold(catalog):
        product = {"id": f"prod_{plan.key}", "name": plan.name}
        if product not in products:
            products.append(product)
        price_id = price.stripe_price_id or f"price_{plan.key}_{price.interval}"
        prices.append(
            {
                "id": price_id,
                "product": product["id"],
                "currency": currency,
                "unit_amount": cents,
                "recurring": {"interval": str(price.interval)},
            }
        )
        suffix = "_YEARLY" if price.interval == "year" else ""
        environment[f"STRIPE_PRICE_{plan.key.upper()}{suffix}"] = price_id
    for metric in sorted({price.metric for plan in catalog.plans for price in plan.metered}):
        if metric in _INVENTED_USE:
            products.append({"id": f"prod_{metric}", "name": metric.replace("_", " ")})
            prices.append(
                {
                    "id": f"price_{metric}",
                    "product": f"prod_{metric}",
                    "currency": "usd",
                    "unit_amount_decimal": _INVENTED_USE[metric],
                    # The sandbox makes the meter itself.
                    "recurring": {
                        "interval": "month",
                        "usage_type": "metered",
                        "meter": f"mtr_{metric}",
                    },
                }
            )
            environment[f"STRIPE_METERED_{metric.upper()}"] = f"price_{metric}"
    return products, prices, environment


def _sold(catalog: Catalog) -> Iterator[tuple[Plan, PlanPrice, int, str]]:
    for plan in catalog.plans:
        for price in plan.prices:
            if price.money is not None and price.money.minor > 0:
                yield plan, price, price.money.minor, str(price.money.currency)
            elif price.money is None and plan.key in _INVENTED_CENTS:
                yield plan, price, _INVENTED_CENTS[plan.key], "usd"


def _free_port(wanted: int) -> int:
    """Give *wanted* if it can be had, for stable links to hosted pages, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except (OSError, OverflowError):
                continue
            return int(probe.getsockname()[1])
    raise SandboxFailed("no free port")
