"""Test clocks: time of its own for some customers, moved when a test says so."""

from app.sandbox.billing import standing
from app.sandbox.config import DAY
from app.sandbox.core import ids
from app.sandbox.core.lists import page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Fields, Text, instant, listing
from app.sandbox.core.refusals import Refusal, invalid, wrong_state
from app.sandbox.core.sandbox import CLOCK, Sandbox

_KEPT_DAYS = 30
_FARTHEST = 20 * 366 * DAY


def create(sandbox: Sandbox, params: Doc) -> Doc:
    name = ids.new("clock")
    clock = sandbox.add(
        {
            "id": name,
            "object": CLOCK,
            "created": sandbox.account_now(),
            "deletes_after": sandbox.account_now() + _KEPT_DAYS * DAY,
            "frozen_time": params["frozen_time"],
            "livemode": False,
            "name": params.get("name"),
            "status": "ready",
            "status_details": {},
        }
    )
    if "customer" in params:
        customer = sandbox.named("customer", params["customer"], "customer")
        if customer["test_clock"] or sandbox.all("subscription", customer=customer["id"]):
            raise invalid("This customer has a history that cannot move to a clock.", "customer")
        customer["test_clock"] = name
        sandbox.save(customer)
    sandbox.emit("test_helpers.test_clock.created", clock)
    return clock


def retrieve(sandbox: Sandbox, params: Doc, test_clock: str) -> Doc:
    return sandbox.get(CLOCK, test_clock, "test_clock")


def advance(sandbox: Sandbox, params: Doc, test_clock: str) -> Doc:
    """Set out for a later time. Whoever asks next finds the clock there."""
    clock = sandbox.get(CLOCK, test_clock, "test_clock")
    if clock["status"] != "ready":
        raise Refusal("The test clock is already advancing.", status=429, code="rate_limit")
    to = params["frozen_time"]
    if not clock["frozen_time"] < to <= clock["frozen_time"] + _FARTHEST:
        raise invalid(
            "A test clock moves ahead only, and at most twenty years at once.", "frozen_time"
        )
    clock.update(status="advancing", status_details={"advancing": {"target_frozen_time": to}})
    sandbox.save(clock)
    sandbox.emit("test_helpers.test_clock.advancing", clock)
    return clock


def delete(sandbox: Sandbox, params: Doc, test_clock: str) -> Doc:
    """A clock goes with everyone who lives by it."""
    clock = sandbox.get(CLOCK, test_clock, "test_clock")
    if clock["status"] != "ready":
        raise wrong_state("You cannot delete a test clock while it is advancing.")
    for customer in sandbox.all("customer", test_clock=test_clock):
        for subscription in sandbox.all("subscription", customer=customer["id"]):
            if subscription["status"] not in standing.TERMINAL:
                standing.end(sandbox, subscription, "cancellation_requested")
        sandbox.emit("customer.deleted", customer)
        sandbox.save({"id": customer["id"], "object": "customer", "deleted": True})
    sandbox.store.run("DELETE FROM alarms WHERE clock = ?", test_clock)
    sandbox.emit("test_helpers.test_clock.deleted", clock)
    return sandbox.save({"id": test_clock, "object": CLOCK, "deleted": True})


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    return page(sandbox, CLOCK, "/v1/test_helpers/test_clocks", params)


_ALL = "/v1/test_helpers/test_clocks"
_ONE = f"{_ALL}/{{test_clock}}"
OPERATIONS = (
    Operation(
        "POST",
        _ALL,
        create,
        Fields(
            {"customer": Text(), "frozen_time": instant(), "name": Text(most=300)},
            needs=("frozen_time",),
        ),
        "test_helpers.TestClockCreateParams",
    ),
    Operation("GET", _ALL, list_, listing(), "test_helpers.TestClockListParams"),
    Operation("GET", _ONE, retrieve, NOTHING, "test_helpers.TestClockRetrieveParams"),
    Operation(
        "POST",
        f"{_ONE}/advance",
        advance,
        Fields({"frozen_time": instant()}, needs=("frozen_time",)),
        "test_helpers.TestClockAdvanceParams",
    ),
    Operation("DELETE", _ONE, delete, NOTHING, "test_helpers.TestClockDeleteParams"),
)
