"""Meters: what is counted, and what the counting comes to."""

import hashlib

from app.sandbox.billing import metering
from app.sandbox.config import DAY
from app.sandbox.core import ids, thin
from app.sandbox.core.lists import matching, page, page_of
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Text,
    instant,
    listing,
    one_of,
)
from app.sandbox.core.refusals import invalid, wrong_state
from app.sandbox.core.sandbox import Sandbox

CREATE = Fields(
    {
        "customer_mapping": Fields(
            {"event_payload_key": Text(most=100), "type": one_of("by_id")},
            needs=("event_payload_key", "type"),
        ),
        "default_aggregation": Fields(
            {"formula": one_of("count", "last", "sum")}, needs=("formula",)
        ),
        "display_name": Text(most=250),
        "event_name": Text(most=100),
        "event_time_window": one_of("day", "hour"),
        "value_settings": Fields(
            {"event_payload_key": Text(most=100)}, needs=("event_payload_key",)
        ),
    },
    needs=("default_aggregation", "display_name", "event_name"),
)
UPDATE = Fields({"display_name": Text(most=250)})
_SUMMARIES = listing(
    customer=Text(),
    start_time=instant(),
    end_time=instant(),
    value_grouping_window=one_of("day", "hour"),
)
_WINDOWS = {"hour": 3_600, "day": DAY}


def create(sandbox: Sandbox, params: Doc) -> Doc:
    _refuse_second(sandbox, params["event_name"])
    meter = blank(sandbox, ids.new("mtr"), params["event_name"], params["display_name"])
    meter["default_aggregation"] = params["default_aggregation"]
    meter["event_time_window"] = params.get("event_time_window")
    for key in ("customer_mapping", "value_settings"):
        meter[key] = params.get(key, meter[key])
    sandbox.add(meter)
    thin.announce(sandbox, "v1.billing.meter.created", meter)
    return meter


def blank(sandbox: Sandbox, id: str, event_name: str, display_name: str) -> Doc:
    """An active meter that adds up, not yet kept."""
    now = sandbox.now()
    return {
        "id": id,
        "object": "billing.meter",
        "created": now,
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": display_name,
        "event_name": event_name,
        "event_time_window": None,
        "livemode": False,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": now,
        "value_settings": {"event_payload_key": "value"},
    }


def _refuse_second(sandbox: Sandbox, event_name: str) -> None:
    if sandbox.all("billing.meter", event_name=event_name, status="active"):
        raise invalid(
            f"There is already an active meter with the event name {event_name}.", "event_name"
        )


def retrieve(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return sandbox.get("billing.meter", id)


def update(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    meter = sandbox.get("billing.meter", id)
    meter.update(display_name=params.get("display_name", meter["display_name"]))
    meter["updated"] = sandbox.now()
    sandbox.save(meter)
    thin.announce(sandbox, "v1.billing.meter.updated", meter)
    return meter


def deactivate(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    meter = sandbox.get("billing.meter", id)
    if meter["status"] != "active":
        raise wrong_state(f"The meter {id} is not active.")
    meter.update(status="inactive", updated=sandbox.now())
    meter["status_transitions"] = {"deactivated_at": sandbox.now()}
    sandbox.save(meter)
    thin.announce(sandbox, "v1.billing.meter.deactivated", meter)
    return meter


def reactivate(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    meter = sandbox.get("billing.meter", id)
    if meter["status"] == "active":
        raise wrong_state(f"The meter {id} is active.")
    _refuse_second(sandbox, meter["event_name"])
    meter.update(status="active", updated=sandbox.now())
    meter["status_transitions"] = {"deactivated_at": None}
    sandbox.save(meter)
    thin.announce(sandbox, "v1.billing.meter.reactivated", meter)
    return meter


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "status")
    return page(sandbox, "billing.meter", "/v1/billing/meters", params, conditions)


def list_summaries(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    """What a customer has used, as far as it has been added up."""
    meter = sandbox.get("billing.meter", id)
    sandbox.named("customer", params["customer"], "customer")
    start, end = params["start_time"], params["end_time"]
    window = _WINDOWS.get(params.get("value_grouping_window", ""))
    for name in ("start_time", "end_time"):
        if params[name] % (window or 60):
            unit = params.get("value_grouping_window", "minute")
            raise invalid(f"{name} must be aligned with {unit} boundaries.", name)
    if start >= end:
        raise invalid("start_time must be before end_time.", "start_time")
    if window is None:
        found = [_summary(sandbox, meter, params["customer"], start, end)]
    else:
        # One by one would be a year of hours; only those windows are asked for that hold events.
        begun = metering.windows_used(sandbox, params["customer"], meter, start, end, window)
        found = [
            _summary(sandbox, meter, params["customer"], one, one + window) for one in begun[::-1]
        ]
    return page_of(found, f"/v1/billing/meters/{id}/event_summaries", params)


def _summary(sandbox: Sandbox, meter: Doc, customer: str, start: int, end: int) -> Doc:
    value = metering.added_up(sandbox, customer, meter, start, end)
    name = hashlib.sha256(f"{meter['id']} {customer} {start} {end}".encode()).hexdigest()[:24]
    return {
        "id": f"mtrusg_{name}",
        "object": "billing.meter_event_summary",
        "aggregated_value": int(value) if value == value.to_integral_value() else float(value),
        "end_time": end,
        "livemode": False,
        "meter": meter["id"],
        "start_time": start,
    }


_ONE = "/v1/billing/meters/{id}"
OPERATIONS = (
    Operation("POST", "/v1/billing/meters", create, CREATE, "billing.MeterCreateParams"),
    Operation(
        "GET",
        "/v1/billing/meters",
        list_,
        listing(status=one_of("active", "inactive")),
        "billing.MeterListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "billing.MeterRetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, "billing.MeterUpdateParams"),
    Operation("POST", f"{_ONE}/deactivate", deactivate, NOTHING, "billing.MeterDeactivateParams"),
    Operation("POST", f"{_ONE}/reactivate", reactivate, NOTHING, "billing.MeterReactivateParams"),
    Operation(
        "GET",
        f"{_ONE}/event_summaries",
        list_summaries,
        Fields(_SUMMARIES.known, needs=("customer", "start_time", "end_time")),
        "billing.MeterEventSummaryListParams",
    ),
)
