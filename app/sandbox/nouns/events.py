"""Events, as the API tells of them."""

from app.sandbox.core import thin
from app.sandbox.core.deliveries import UNDELIVERED, pending
from app.sandbox.core.lists import among, envelope, matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Flag, Many, Range, Text, listing
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox


def _today(sandbox: Sandbox, event: Doc) -> Doc:
    """An event never changes but for how many still wait to hear of it."""
    return {**event, "pending_webhooks": pending(sandbox, event["id"])}


def retrieve(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return _today(sandbox, sandbox.get("event", id))


def retrieve_thin(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    """A thin event with what its notification leaves out."""
    return sandbox.get(thin.KIND, id)


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    if "type" in params and "types" in params:
        raise invalid("You may pass only one of type and types.", "types")
    conditions = matching(params)
    if (wanted := params.get("type")) is not None:
        if wanted.endswith("*"):
            conditions.append(("json_extract(doc, '$.type') GLOB ?", wanted))
        else:
            conditions.extend(matching({"type": wanted}, "type"))
    if "types" in params:
        conditions.append(among("$.type", params["types"]))
    if "delivery_success" in params:
        inside = "NOT IN" if params["delivery_success"] else "IN"
        conditions.append((f"id {inside} ({UNDELIVERED}) AND ?", 1))
    found = page(sandbox, "event", "/v1/events", params, conditions)
    events = [_today(sandbox, event) for event in found["data"]]
    return envelope(events, "/v1/events", has_more=found["has_more"])


OPERATIONS = (
    Operation(
        "GET",
        "/v1/events",
        list_,
        listing(
            created=Range(),
            delivery_success=Flag(),
            type=Text(),
            types=Many(Text(), most=20),
        ),
        "EventListParams",
    ),
    Operation("GET", "/v2/core/events/{id}", retrieve_thin, NOTHING, "v2.core.EventRetrieveParams"),
    Operation("GET", "/v1/events/{id}", retrieve, NOTHING, "EventRetrieveParams"),
)
