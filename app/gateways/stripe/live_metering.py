"""Meters at Stripe itself, through the official SDK."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from app.gateways.stripe.connection import StripeConnection
from app.gateways.stripe.errors import StripeRefused
from app.gateways.stripe.fields import id_of
from app.gateways.stripe.metering import MeterError, MeterReport, StripeMeter
from app.infra.db.unit_of_work import refuse_inside_unit
from app.kernel.rates import plain

if TYPE_CHECKING:
    from stripe.params.billing import MeterEventCreateParams, MeterEventSummaryListParams

Json = Mapping[str, Any]

_MINUTE = 60
_SEEN = "already exists with identifier"
"""Stripe's sentence is all there is to tell a repeat by: the error's code is not documented."""


class LiveMetering:
    """The gateway over HTTP."""

    def __init__(self, connection: StripeConnection) -> None:
        self._connection = connection

    async def find_meter_of(self, price_id: str) -> StripeMeter | None:
        refuse_inside_unit()
        meter_id = await self._connection.ask(
            "get_price",
            lambda: self._connection.v1.prices.retrieve_async(price_id),
            lambda data: id_of((data.get("recurring") or {}).get("meter")),
        )
        if meter_id is None:
            return None
        return await self._connection.ask(
            "get_meter",
            lambda: self._connection.v1.billing.meters.retrieve_async(meter_id),
            meter,
        )

    async def send(self, meter: StripeMeter, report: MeterReport) -> bool:
        refuse_inside_unit()
        parameters: MeterEventCreateParams = {
            "event_name": meter.event_name,
            "identifier": report.identifier,
            "timestamp": int(report.at.timestamp()),
            "payload": {
                meter.customer_key: report.customer_id,
                meter.value_key: plain(report.value),
            },
        }
        try:
            await self._connection.ask(
                "send_meter_event",
                lambda: self._connection.v1.billing.meter_events.create_async(
                    parameters, {"idempotency_key": f"meter:{report.identifier}"}
                ),
                lambda data: data["identifier"],
            )
        except StripeRefused as refusal:
            if _SEEN in refusal.reason:
                return False
            raise
        return True

    async def total(
        self, meter: StripeMeter, customer_id: str, since: datetime, until: datetime
    ) -> Decimal:
        refuse_inside_unit()
        first, last = int(since.timestamp()), int(until.timestamp())
        parameters: MeterEventSummaryListParams = {
            "customer": customer_id,
            "start_time": first - first % _MINUTE,
            "end_time": last + -last % _MINUTE,
        }
        return await self._connection.ask(
            "sum_meter_events",
            lambda: self._connection.v1.billing.meters.event_summaries.list_async(
                meter.id, parameters
            ),
            lambda data: sum(
                (Decimal(str(one["aggregated_value"])) for one in data["data"]), Decimal(0)
            ),
        )

    async def get_errors(self, event_id: str) -> tuple[MeterError, ...]:
        refuse_inside_unit()
        return await self._connection.ask(
            "get_meter_errors",
            lambda: self._connection.v2.core.events.retrieve_async(event_id),
            _errors,
        )


def meter(data: Json) -> StripeMeter:
    return StripeMeter(
        id=data["id"],
        event_name=data["event_name"],
        customer_key=data["customer_mapping"]["event_payload_key"],
        value_key=data["value_settings"]["event_payload_key"],
        formula=data["default_aggregation"]["formula"],
        is_active=data["status"] == "active",
    )


def _errors(data: Json) -> tuple[MeterError, ...]:
    reason = (data.get("data") or {}).get("reason") or {}
    return tuple(
        MeterError(sample["request"]["identifier"], kind["code"], sample.get("error_message") or "")
        for kind in reason.get("error_types") or ()
        for sample in kind.get("sample_errors") or ()
        if (sample.get("request") or {}).get("identifier")
    )
