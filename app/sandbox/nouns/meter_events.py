"""Meter events: one use each, told under an identifier that counts once."""

from app.sandbox.billing import metering
from app.sandbox.core import ids, thin
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import Doc, Fields, Moment, Pairs, Spec, Text, instant, one_of
from app.sandbox.core.refusals import Refusal, invalid, required
from app.sandbox.core.sandbox import Sandbox

_NEEDS = ("event_name", "payload")
_COMMON: dict[str, Spec] = {
    "event_name": Text(most=100),
    "identifier": Text(most=100),
    "payload": Pairs(),
}
CREATE = Fields({**_COMMON, "timestamp": instant()}, needs=_NEEDS)
CREATE_V2 = Fields({**_COMMON, "timestamp": Moment()}, needs=_NEEDS)
CANCEL = Fields(
    {
        "cancel": Fields({"identifier": Text(most=100)}),
        "event_name": Text(most=100),
        "type": one_of("cancel"),
    },
    needs=("event_name", "type"),
)
_AT_ONCE = ("no_meter", "timestamp_too_far_in_past", "timestamp_in_future")
_AT_ONCE_V2 = {
    "archived_meter": "archived_meter",
    "meter_event_invalid_value": "payload_invalid_value",
    "meter_event_no_customer_defined": "payload_no_customer_defined",
    "no_meter": "no_meter",
    "timestamp_in_future": "timestamp_in_future",
    "timestamp_too_far_in_past": "timestamp_too_far_in_past",
}


def create(sandbox: Sandbox, params: Doc) -> Doc:
    event = _told(params)
    taken = metering.take(sandbox, event, _AT_ONCE)
    if isinstance(taken, metering.Problem):
        raise invalid(taken.message)
    return {
        "object": "billing.meter_event",
        "created": sandbox.now(),
        "event_name": event.event_name,
        "identifier": event.identifier,
        "livemode": False,
        "payload": event.payload,
        "timestamp": taken,
    }


def create_v2(sandbox: Sandbox, params: Doc) -> Doc:
    event = _told(params)
    taken = metering.take(sandbox, event, _AT_ONCE_V2)
    if isinstance(taken, metering.Problem):
        raise Refusal(taken.message, code=_AT_ONCE_V2.get(taken.code, taken.code))
    return {
        "object": "v2.billing.meter_event",
        "created": thin.moment(sandbox.now()),
        "event_name": event.event_name,
        "identifier": event.identifier,
        "livemode": False,
        "payload": event.payload,
        "timestamp": thin.moment(taken),
    }


def _told(params: Doc) -> metering.Told:
    return metering.Told(
        params["event_name"],
        params.get("identifier") or ids.new("mtrev"),
        params["payload"],
        params.get("timestamp"),
    )


def adjust(sandbox: Sandbox, params: Doc) -> Doc:
    """Take an event back."""
    identifier = params.get("cancel", {}).get("identifier")
    if identifier is None:
        raise required("cancel[identifier]")
    metering.cancel(sandbox, params["event_name"], identifier)
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": params["event_name"],
        "livemode": False,
        "status": "complete",
        "type": "cancel",
    }


OPERATIONS = (
    Operation(
        "POST", "/v1/billing/meter_events", create, CREATE, "billing.MeterEventCreateParams"
    ),
    Operation(
        "POST",
        "/v1/billing/meter_event_adjustments",
        adjust,
        CANCEL,
        "billing.MeterEventAdjustmentCreateParams",
    ),
    Operation(
        "POST", "/v2/billing/meter_events", create_v2, CREATE_V2,
        "v2.billing.MeterEventCreateParams",
    ),
)  # fmt: skip
