"""One call of Stripe's SDK: patient, timed, its answer read and its errors translated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import stripe
import structlog

from app.gateways.stripe.errors import (
    CardDeclined,
    StripeKeyReused,
    StripeMisconfigured,
    StripeMissing,
    StripeRefused,
    StripeUnavailable,
)
from app.infra.telemetry.metrics import GATEWAY_SECONDS
from app.kernel.errors import BillingError

if TYPE_CHECKING:
    from stripe._v1_services import V1Services
    from stripe._v2_services import V2Services

log = structlog.get_logger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 10.0
NETWORK_RETRIES = 2
"""Given explicitly: a StripeClient that is not told retries nothing."""
_BACKOFF_SECONDS = (0.5, 1.0, 2.0)

Sleep = Callable[[float], Awaitable[None]]
MakeHttpClient = Callable[[], stripe.HTTPXClient]


def _http_client() -> stripe.HTTPXClient:
    return stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)


class StripeConnection:
    """The SDK's client. `start` it in the loop that will use it; httpx is bound to one."""

    def __init__(
        self,
        secret_key: str,
        *,
        api_base: str | None = None,
        make_http_client: MakeHttpClient = _http_client,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._secret_key = secret_key
        self._api_base = api_base
        self._make_http_client = make_http_client
        self._sleep = sleep
        self._http: stripe.HTTPXClient | None = None
        self._client: stripe.StripeClient | None = None

    async def start(self) -> None:
        stripe.enable_telemetry = False
        # The SDK logs requests with their parameters at info; customers' names are in them.
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._http = self._make_http_client()
        self._client = stripe.StripeClient(
            self._secret_key,
            base_addresses={"api": self._api_base, "meter_events": self._api_base}
            if self._api_base
            else {},
            max_network_retries=NETWORK_RETRIES,
            http_client=self._http,
        )

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close_async()  # type: ignore[no-untyped-call]
        self._http = self._client = None

    @property
    def v1(self) -> V1Services:
        return self._started.v1

    @property
    def v2(self) -> V2Services:
        return self._started.v2

    @property
    def _started(self) -> stripe.StripeClient:
        if self._client is None:
            raise RuntimeError("start the gateway in the loop that calls it")
        return self._client

    async def ask(
        self,
        call: str,
        ask: Callable[[], Awaitable[Any]],
        read: Callable[[Mapping[str, Any]], T],
    ) -> T:
        """One call, patient with 429 (which the SDK is not), its answer read, its errors ours."""
        started_at = asyncio.get_running_loop().time()
        outcome = "failed"
        try:
            answer = read((await self._patiently(ask)).to_dict(for_json=True))
            outcome = "done"
            return answer
        except stripe.StripeError as error:
            log.warning(
                "stripe.refused",
                call=call,
                error=type(error).__name__,
                code=error.code,
                status=error.http_status,
                stripe_request_id=error.request_id,
                message=error.user_message,
            )
            raise translate(error) from None
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # An error body that is a text, or an object without its required fields: whoever
            # answered is not Stripe, or not well.
            log.warning("stripe.unreadable_answer", call=call, error=repr(error))
            raise StripeUnavailable from error
        finally:
            seconds = asyncio.get_running_loop().time() - started_at
            GATEWAY_SECONDS.labels("stripe", call, outcome).observe(seconds)

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        for delay in _BACKOFF_SECONDS:
            try:
                return await ask()
            except stripe.RateLimitError:
                await self._sleep(delay)
        return await ask()


def translate(error: stripe.StripeError) -> BillingError:
    """The SDK's error as one of ours; what it told us goes to the log, not to the caller."""
    details = error.json_body.get("error") if isinstance(error.json_body, dict) else None
    details = details if isinstance(details, dict) else {}
    match error:
        case stripe.CardError():
            return CardDeclined(decline_code=details.get("decline_code") or error.code)
        case stripe.IdempotencyError():
            return StripeKeyReused()
        case stripe.InvalidRequestError() if error.code == "resource_missing":
            return StripeMissing(parameter=details.get("param"))
        case stripe.InvalidRequestError():
            return StripeRefused(stripe_code=error.code, reason=error.user_message)
        case stripe.AuthenticationError() | stripe.PermissionError():
            return StripeMisconfigured()
        case _:
            return StripeUnavailable()
