"""Usage told by meter events: what is taken, what is refused later, what it adds up to."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from app.sandbox.config import DAY
from app.sandbox.core import thin
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox

_OLDEST = 35 * DAY
_AHEAD = 300
_UNIQUE_FOR = DAY
_CANCELABLE_FOR = DAY
_EVER = 10**12
_VALUE = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?\Z")
DUPLICATE = "duplicate_meter_event"
LAG = "meter_lag"
"""The setting that says for how many seconds a summary does not know of an event."""
CHECKED_LATER = "meter_checked_later"
"""The setting with which everything is taken, and reported if it was wrong."""


@dataclass(frozen=True)
class Told:
    """One meter event as it was sent."""

    event_name: str
    identifier: str
    payload: dict[str, str]
    at: int | None
    """When the use was; nothing means now, as the customer's clock has it."""


@dataclass(frozen=True)
class Problem:
    """Why an event cannot count, in Stripe's own codes."""

    code: str
    message: str


def take(sandbox: Sandbox, event: Told, refused_at_once: Collection[str]) -> Problem | int:
    """Count an event and say when it was; or the problem, if the caller must hear of it now.

    Other problems are reported in an event of the account, as Stripe does: the call was
    answered with success, and its identifier is used up.
    """
    meter = meter_named(sandbox, event.event_name)
    customer = event.payload.get(_customer_key(meter))
    holder = sandbox.find("customer", customer) if customer else None
    at = sandbox.now() if event.at is None else event.at
    problem = _problem(sandbox.now(), event, meter, at, customer, holder)
    later = sandbox.store.setting(CHECKED_LATER) == "1"
    if problem is not None and problem.code in refused_at_once and not later:
        return problem
    known = sandbox.store.row(
        "SELECT 1 FROM meter_events WHERE identifier = ? AND received_at > ?",
        event.identifier,
        sandbox.account_now() - _UNIQUE_FOR,
    )
    if known is not None:
        return Problem(
            DUPLICATE,
            f"An event already exists with identifier {event.identifier}.",
        )
    sandbox.store.run(
        "INSERT INTO meter_events (event_name, identifier, customer, value, at, received_at, "
        "state) VALUES (?, ?, ?, ?, ?, ?, ?)",
        event.event_name,
        event.identifier,
        customer,
        event.payload.get(_value_key(meter), "1"),
        at,
        sandbox.account_now(),
        "counted" if problem is None else "refused",
    )
    if problem is not None:
        _report(sandbox, event, problem, meter)
    return at


def meter_named(sandbox: Sandbox, event_name: str) -> Doc | None:
    """The meter that counts events of a name: the active one, else the newest."""
    meters = sandbox.all("billing.meter", event_name=event_name)
    return next((one for one in meters if one["status"] == "active"), meters[0] if meters else None)


def _customer_key(meter: Doc | None) -> str:
    return str(meter["customer_mapping"]["event_payload_key"]) if meter else "stripe_customer_id"


def _value_key(meter: Doc | None) -> str:
    return str(meter["value_settings"]["event_payload_key"]) if meter else "value"


def _problem(
    now: int, event: Told, meter: Doc | None, at: int, customer: str | None, holder: Doc | None
) -> Problem | None:
    if meter is None:
        return Problem("no_meter", f"No meter found with event name {event.event_name}.")
    if meter["status"] != "active":
        return Problem("archived_meter", f"The meter {meter['id']} is not active.")
    if at < now - _OLDEST:
        return Problem(
            "timestamp_too_far_in_past",
            "The timestamp must be within the past 35 calendar days.",
        )
    if at > now + _AHEAD:
        return Problem(
            "timestamp_in_future", "The timestamp must be at most 5 minutes in the future."
        )
    if not customer:
        return Problem(
            "meter_event_no_customer_defined",
            f"Customer mapping key {_customer_key(meter)} not found in payload.",
        )
    if (problem := _problem_of_value(event, meter)) is not None:
        return problem
    if holder is None or holder.get("deleted"):
        return Problem("meter_event_customer_not_found", f"No such customer: '{customer}'.")
    return None


def _problem_of_value(event: Told, meter: Doc) -> Problem | None:
    value = event.payload.get(_value_key(meter))
    if value is None:
        if meter["default_aggregation"]["formula"] == "count":
            return None
        return Problem(
            "meter_event_invalid_value", f"Value key {_value_key(meter)} not found in payload."
        )
    if not _VALUE.match(value):
        return Problem("meter_event_invalid_value", f"The value {value[:40]!r} is not a number.")
    return None


def _report(sandbox: Sandbox, event: Told, problem: Problem, meter: Doc | None) -> None:
    sample = {"error_message": problem.message, "request": {"identifier": event.identifier}}
    data = {
        "developer_message_summary": "There is 1 invalid event",
        "reason": {
            "error_count": 1,
            "error_types": [{"code": problem.code, "error_count": 1, "sample_errors": [sample]}],
        },
        "validation_start": thin.moment(sandbox.now() - 10),
        "validation_end": thin.moment(sandbox.now()),
    }
    kind = "no_meter_found" if meter is None else "error_report_triggered"
    thin.announce(sandbox, f"v1.billing.meter.{kind}", meter, data=data)


def cancel(sandbox: Sandbox, event_name: str, identifier: str) -> None:
    """Take back an event of the last day."""
    changed = sandbox.store.run(
        "UPDATE meter_events SET state = 'canceled' WHERE event_name = ? AND identifier = ? "
        "AND received_at > ? AND state = 'counted'",
        event_name,
        identifier,
        sandbox.account_now() - _CANCELABLE_FOR,
    )
    if not changed:
        raise invalid(
            f"No meter event of the last 24 hours has the identifier {identifier}.",
            "cancel[identifier]",
        )


def usage_of(sandbox: Sandbox, customer: str, meter: str, start: int, end: int) -> Decimal:
    """What a customer has used of a meter from *start* until before *end*, for an invoice."""
    doc = sandbox.find("billing.meter", meter)
    if doc is None:
        return Decimal(0)
    return _aggregate(sandbox, customer, doc, start, end, known_by=_EVER)


def added_up(sandbox: Sandbox, customer: str, meter: Doc, start: int, end: int) -> Decimal:
    """The same, as far as the account's lagging summaries know."""
    return _aggregate(sandbox, customer, meter, start, end, known_by=_known_by(sandbox))


def windows_used(
    sandbox: Sandbox, customer: str, meter: Doc, start: int, end: int, length: int
) -> list[int]:
    """The beginnings of those windows in which a customer used something, in order."""
    rows = sandbox.store.rows(
        "SELECT DISTINCT at / ?5 * ?5 AS begun FROM meter_events WHERE event_name = ?1 "
        "AND customer = ?2 AND at >= ?3 AND at < ?4 AND state = 'counted' AND received_at <= ?6 "
        "ORDER BY begun",
        (meter["event_name"], customer, start, end, length, _known_by(sandbox)),
    )
    return [row["begun"] for row in rows]


def _known_by(sandbox: Sandbox) -> int:
    return sandbox.account_now() - int(sandbox.store.setting(LAG) or 0)


def _aggregate(
    sandbox: Sandbox, customer: str, meter: Doc, start: int, end: int, known_by: int
) -> Decimal:
    rows = sandbox.store.rows(
        "SELECT value FROM meter_events WHERE event_name = ? AND customer = ? "
        "AND at >= ? AND at < ? AND state = 'counted' AND received_at <= ? ORDER BY at, id",
        (meter["event_name"], customer, start, end, known_by),
    )
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return Decimal(len(rows))
    values = [Decimal(row["value"]) for row in rows]
    if formula == "last":
        return values[-1] if values else Decimal(0)
    return sum(values, Decimal(0))
