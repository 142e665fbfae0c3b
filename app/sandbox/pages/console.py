"""What is in the account, for a developer's eyes."""

import json

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.core.params import Doc
from app.sandbox.core.sandbox import Sandbox, public
from app.sandbox.pages.rendering import not_found, page

_SHELVES = {
    "customers": ("customer", ("email", "name")),
    "sessions": ("checkout.session", ("status", "customer", "url")),
    "subscriptions": ("subscription", ("status", "customer", "latest_invoice")),
    "invoices": ("invoice", ("number", "status", "amount_due", "hosted_invoice_url")),
    "events": ("event", ("type", "pending_webhooks")),
    "products": ("product", ("name", "active")),
    "prices": ("price", ("product", "unit_amount", "currency")),
    "endpoints": ("webhook_endpoint", ("url", "status")),
}
_MOST = 200


class Console:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.routes = [
            Route("/", self.home),
            Route("/console/deliveries", self.deliveries),
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
        return page("console.html", counts=counts, now=self._sandbox.now())

    async def shelf(self, request: Request) -> Response:
        name = request.path_params["shelf"]
        if name not in _SHELVES:
            return not_found("list")
        kind, columns = _SHELVES[name]
        rows = self._sandbox.store.select(kind, limit=_MOST)
        return page(
            "table.html",
            title=name.capitalize(),
            columns=("id", *columns),
            rows=[json.loads(row["doc"]) for row in rows],
        )

    async def deliveries(self, request: Request) -> Response:
        rows = self._sandbox.store.rows(
            "SELECT d.event AS id, json_extract(o.doc, '$.type') AS type, d.state, d.attempts, "
            "d.last_status, d.last_error FROM deliveries d JOIN objects o "
            "ON o.id = d.event ORDER BY d.id DESC LIMIT ?",
            (_MOST,),
        )
        columns = ("id", "type", "state", "attempts", "last_status", "last_error")
        return page(
            "table.html", title="Deliveries", columns=columns, rows=[dict(row) for row in rows]
        )

    async def object(self, request: Request) -> Response:
        with self._sandbox.unit():
            doc = self._sandbox.find_any(request.path_params["id"])
        if doc is None:
            return not_found("object")
        text = json.dumps(public(doc), indent=2, ensure_ascii=False)
        return page("object.html", title=doc["id"], text=text)
