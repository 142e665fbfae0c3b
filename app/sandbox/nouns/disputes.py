"""Disputes, as the API lets a merchant see and answer them."""

from app.sandbox.billing import disputing
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Metadata,
    Range,
    Text,
    listing,
    merged,
)
from app.sandbox.core.sandbox import Sandbox

UPDATE = Fields(
    {
        "evidence": Fields({key: Text(clears=True, most=20_000) for key in disputing.EVIDENCE}),
        "metadata": Metadata(),
        "submit": Flag(),
    }
)


def retrieve(sandbox: Sandbox, params: Doc, dispute: str) -> Doc:
    return sandbox.get("dispute", dispute, "dispute")


def update(sandbox: Sandbox, params: Doc, dispute: str) -> Doc:
    doc = sandbox.get("dispute", dispute, "dispute")
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    if "evidence" in params or params.get("submit"):
        evidence, submit = params.get("evidence", {}), params.get("submit", True)
        disputing.answer(sandbox, doc, evidence, submit=submit)
    sandbox.save(doc, "charge.dispute.updated")
    disputing.decide(sandbox, doc)
    return doc


def close(sandbox: Sandbox, params: Doc, dispute: str) -> Doc:
    """Accept a dispute as lost."""
    doc = sandbox.get("dispute", dispute, "dispute")
    warning = doc["status"].startswith("warning_")
    return disputing.close(sandbox, doc, "warning_closed" if warning else "lost")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "charge", "payment_intent")
    return page(sandbox, "dispute", "/v1/disputes", params, conditions)


_ONE = "/v1/disputes/{dispute}"
OPERATIONS = (
    Operation(
        "GET",
        "/v1/disputes",
        list_,
        listing(charge=Text(), created=Range(), payment_intent=Text()),
        "DisputeListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "DisputeRetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, "DisputeUpdateParams"),
    Operation("POST", f"{_ONE}/close", close, NOTHING, "DisputeCloseParams"),
)
