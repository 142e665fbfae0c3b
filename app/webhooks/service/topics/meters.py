"""Usage that Stripe could not bill: told only afterwards, and only by thin events."""

from __future__ import annotations

from collections.abc import Mapping

from app.gateways.stripe.errors import StripeMissing
from app.metered.service import MeterErrors
from app.webhooks.domain import HANDLED, Outcome, PendingEvent
from app.webhooks.service.topics.answers import GONE, Apply, Handler, settled

METER_EVENTS = ("billing.meter.error_report_triggered", "billing.meter.no_meter_found")


class MeterTopic:
    """Asks for the report and hands it over."""

    def __init__(self, errors: MeterErrors) -> None:
        self._errors = errors

    def table(self) -> Mapping[str, Handler]:
        return dict.fromkeys(METER_EVENTS, self.usage_refused)

    async def usage_refused(self, event: PendingEvent) -> Apply:
        try:
            report = await self._errors.fetch(event.event_id)
        except StripeMissing:
            return settled(GONE)

        async def apply() -> Outcome:
            await self._errors.take(report)
            return HANDLED

        return apply
