"""What is in the account, for a developer's eyes; nothing here changes anything."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import CLOCK, Sandbox, public
from app.sandbox.pages.rendering import not_found, page

_SHELVES = {
    "customers": ("customer", ("email", "name", "test_clock", "created")),
    "clocks": (CLOCK, ("name", "status", "frozen_time")),
    "sessions": ("checkout.session", ("status", "customer", "created", "url")),
    "subscriptions": ("subscription", ("status", "customer", "latest_invoice", "created")),
    "invoices": (
        "invoice",
        ("number", "status", "customer", "amount_due", "created", "hosted_invoice_url"),
    ),
    "charges": ("charge", ("status", "customer", "amount", "amount_refunded", "disputed")),
    "refunds": ("refund", ("status", "charge", "amount", "created")),
    "disputes": ("dispute", ("status", "reason", "charge", "amount", "created")),
    "events": ("event", ("type", "created", "pending_webhooks")),
    "meters": ("billing.meter", ("event_name", "display_name", "status")),
    "products": ("product", ("name", "active")),
    "prices": ("price", ("product", "unit_amount", "currency", "lookup_key")),
    "coupons": ("coupon", ("name", "percent_off", "amount_off", "valid")),
    "codes": ("promotion_code", ("code", "promotion", "active", "times_redeemed")),
    "endpoints": ("webhook_endpoint", ("url", "status", "api_version")),
}
_NOBODY: Doc = {
    "name": None,
    "email": None,
    "balance": 0,
    "currency": None,
    "deleted": False,
    "invoice_settings": {"default_payment_method": None},
}
"""What a deleted customer no longer says."""
_MOST = 200
_RECENT = 40
_DELIVERIES = (
    "SELECT d.event, json_extract(o.doc, '$.type') AS type, d.endpoint, d.state, d.attempts, "
    "d.last_status, d.last_error FROM deliveries d JOIN objects o ON o.id = d.event "
)
_DELIVERY_COLUMNS = (
    "event", "type", "endpoint", "state", "attempts", "last_status", "last_error",
)  # fmt: skip
_EVENTS = (
    "SELECT e.id, e.created, json_extract(e.doc, '$.type') AS type, "
    "json_extract(e.doc, '$.data.object.id') AS about, "
    "(SELECT group_concat(d.state || coalesce(' (' || d.last_status || ')', ''), ', ') "
    "FROM deliveries d WHERE d.event = e.id) AS deliveries "
    "FROM objects e WHERE e.kind = 'event' "
)
_EVENT_COLUMNS = ("created", "type", "about", "id", "deliveries")


class Console:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.routes = [
            Route("/", self.home),
            Route("/console/deliveries", self.deliveries),
            Route("/console/customers/{id}", self.customer),
            Route("/console/events/{id}", self.event),
            Route("/console/objects/{id}", self.object),
            Route("/console/{shelf}", self.shelf),
        ]

    async def home(self, request: Request) -> Response:
        counts: Doc = {}
        for name, (kind, _) in _SHELVES.items():
            row = self._sandbox.store.row("SELECT count(*) AS n FROM objects WHERE kind = ?", kind)
            counts[name] = row["n"] if row else 0
        row = self._sandbox.store.row("SELECT count(*) AS n FROM deliveries")
        counts["deliveries"] = row["n"] if row else 0
        waiting = self._sandbox.store.row(
            "SELECT count(*) AS n FROM deliveries WHERE state IN ('pending', 'held', 'failed')"
        )
        due = self._sandbox.store.row("SELECT min(due) AS due FROM alarms WHERE clock = ''")
        return page(
            "console.html",
            counts=counts,
            now=self._sandbox.account_now(),
            due=due["due"] if due else None,
            waiting=waiting["n"] if waiting else 0,
            clocks=self._docs(CLOCK),
            columns=_EVENT_COLUMNS,
            events=self._rows(f"{_EVENTS} ORDER BY e.seq DESC LIMIT ?", _RECENT),
        )

    async def shelf(self, request: Request) -> Response:
        name = request.path_params["shelf"]
        if name not in _SHELVES:
            return not_found("list")
        kind, columns = _SHELVES[name]
        return page(
            "table.html", title=name.capitalize(), columns=("id", *columns), rows=self._docs(kind)
        )

    async def deliveries(self, request: Request) -> Response:
        rows = self._rows(f"{_DELIVERIES} ORDER BY d.id DESC LIMIT ?", _MOST)
        return page("table.html", title="Deliveries", columns=_DELIVERY_COLUMNS, rows=rows)

    async def customer(self, request: Request) -> Response:
        """One customer: their time, what they have, what they were billed, what was told of it."""
        id = request.path_params["id"]
        with self._sandbox.unit():
            customer = self._sandbox.find("customer", id)
            if customer is None:
                return not_found("customer")
            clock = self._sandbox.find(CLOCK, customer.get("test_clock") or "")
        return page(
            "customer.html",
            customer={**_NOBODY, **customer},
            clock=clock,
            now=clock["frozen_time"] if clock else self._sandbox.account_now(),
            subscriptions=self._docs("subscription", id),
            methods=self._docs("payment_method", id),
            invoices=self._docs("invoice", id),
            charges=self._docs("charge", id),
            columns=_EVENT_COLUMNS,
            events=self._rows(
                f"{_EVENTS} AND (json_extract(e.doc, '$.data.object.customer') = ?1 "
                "OR json_extract(e.doc, '$.data.object.id') = ?1) ORDER BY e.seq DESC LIMIT ?2",
                id,
                _MOST,
            ),
        )

    async def event(self, request: Request) -> Response:
        id = request.path_params["id"]
        with self._sandbox.unit():
            event = self._sandbox.find_any(id)
        if event is None or not event["object"].endswith("event"):
            return not_found("event")
        return page(
            "event.html",
            event=event,
            text=_shown(event),
            columns=_DELIVERY_COLUMNS[2:],
            deliveries=self._rows(f"{_DELIVERIES} WHERE d.event = ? ORDER BY d.id", id),
        )

    async def object(self, request: Request) -> Response:
        with self._sandbox.unit():
            doc = self._sandbox.find_any(request.path_params["id"])
        if doc is None:
            return not_found("object")
        return page("object.html", title=doc["id"], text=_shown(doc))

    def _docs(self, kind: str, customer: str | None = None) -> list[Doc]:
        """The newest objects of a kind, of one customer or of all."""
        of = [("json_extract(doc, '$.customer') = ?", customer)] if customer else []
        rows = self._sandbox.store.select(kind, of, limit=_MOST)
        return [json.loads(row["doc"]) for row in rows]

    def _rows(self, sql: str, *values: Any) -> list[Doc]:
        return [dict(row) for row in self._sandbox.store.rows(sql, values)]


def _shown(doc: Doc) -> str:
    return json.dumps(public(doc), indent=2, ensure_ascii=False)
