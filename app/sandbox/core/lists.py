"""Stripe's list envelope and its cursors."""

import json
from typing import Any

from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import missing_reference
from app.sandbox.core.sandbox import LABELS, Sandbox

Condition = tuple[str, Any]
_BOUNDS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def is_(path: str, value: Any) -> Condition:
    """The field at *path* has this value."""
    return (f"json_extract(doc, '$.{path}') = ?", value)


def among(column: str, values: list[str]) -> Condition:
    """The column, or the field at `$.path`, is one of these."""
    field = column if not column.startswith("$") else f"json_extract(doc, '{column}')"
    return (f"{field} IN (SELECT value FROM json_each(?))", json.dumps(values))


def matching(params: Doc, *fields: str, **paths: str) -> list[Condition]:
    """A condition for each filter that was sent; `created` is understood."""
    conditions: list[Condition] = []
    for name, path in {**{field: field for field in fields}, **paths}.items():
        if name in params:
            conditions.append(is_(path, params[name]))
    for bound, instant in params.get("created", {}).items():
        conditions.append((f"created {_BOUNDS[bound]} ?", instant))
    return conditions


def of_clock(params: Doc) -> Condition:
    """Who lives by the clock that was named; by the account's own time, if none was."""
    return ("json_extract(doc, '$.test_clock') IS ?", params.get("test_clock"))


def page(
    sandbox: Sandbox, kind: str, url: str, params: Doc, conditions: list[Condition] | None = None
) -> Doc:
    """One page, newest first, of the objects of a kind."""
    conditions = [*(conditions or []), ("coalesce(json_extract(doc, '$.deleted'), 0) = ?", 0)]
    limit = params.get("limit", 10)
    backwards = False
    if "starting_after" in params:
        conditions.append(("seq < ?", _cursor(sandbox, kind, params, "starting_after")))
    elif "ending_before" in params:
        conditions.append(("seq > ?", _cursor(sandbox, kind, params, "ending_before")))
        backwards = True
    rows = sandbox.store.select(kind, conditions, newest_first=not backwards, limit=limit + 1)
    docs = [sandbox.get(kind, row["id"]) for row in rows[:limit]]
    if backwards:
        docs.reverse()
    return envelope(docs, url, has_more=len(rows) > limit)


def envelope(docs: list[Doc], url: str, *, has_more: bool = False) -> Doc:
    return {"object": "list", "url": url, "has_more": has_more, "data": docs}


def page_of(docs: list[Doc], url: str, params: Doc) -> Doc:
    """One page of a list that is at hand, in its own order."""
    names = [doc["id"] for doc in docs]
    limit = params.get("limit", 10)
    start, stop = 0, len(docs)
    if params.get("starting_after") in names:
        start = names.index(params["starting_after"]) + 1
    if params.get("ending_before") in names:
        stop = names.index(params["ending_before"])
        start = max(start, stop - limit)
        return envelope(docs[start:stop], url, has_more=start > 0)
    return envelope(docs[start : start + limit], url, has_more=start + limit < stop)


def _cursor(sandbox: Sandbox, kind: str, params: Doc, name: str) -> int:
    position = sandbox.store.position(kind, params[name])
    if position is None:
        raise missing_reference(LABELS.get(kind, kind), params[name], name)
    return position
