"""The billing portal: customers look after their own subscription."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.billing import items, payments, standing
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal, invalid
from app.sandbox.nouns import (
    customers,
    invoices,
    payment_methods,
    subscription_pauses,
    subscriptions,
)
from app.sandbox.pages.rendering import Page, form, go, not_found, page

_CARDS = {
    "visa": "visa",
    "mastercard": "mastercard",
    "declines": "chargeCustomerFail",
    "confirms": "authenticationRequired",
}
_DONE = {
    "cancel": "Your subscription will end when the current period is over.",
    "undo": "Your subscription goes on.",
    "resume": "Your subscription goes on from today.",
    "change": "Your plan has been changed.",
    "card": "Your card has been updated.",
    "pay": "Thank you, your invoice is paid.",
}


_FEATURES = {
    "cancel": "subscription_cancel",
    "change": "subscription_update",
    "card": "payment_method_update",
    "history": "invoice_history",
}


class PortalPage(Page):
    @property
    def routes(self) -> list[Route]:
        return [
            Route("/p/session/{id}", self.show, methods=["GET"]),
            Route("/p/session/{id}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        self._before()
        notice = _DONE.get(request.query_params.get("done", ""))
        with self._sandbox.unit():
            return self._page(request.path_params["id"], notice=notice)

    async def act(self, request: Request) -> Response:
        self._before()
        id = request.path_params["id"]
        sent = await form(request)
        try:
            with self._sandbox.unit():
                session = self._sandbox.find("billing_portal.session", id)
                if session is None:
                    return not_found("portal session")
                if not _allows(self._allowed(session), sent.get("action", "")):
                    raise invalid("That cannot be done here.", "action")
                self._do(session["customer"], sent)
        except Refusal as refusal:
            with self._sandbox.unit():
                if bank := self._bank_of(sent.get("invoice", "")):
                    return go(bank)
                return self._page(id, refusal.status, error=refusal.error["message"])
        finally:
            self._after()
        return go(f"/p/session/{id}?done={sent.get('action')}")

    def _allowed(self, session: Doc) -> Doc | None:
        """What the session's configuration turns on; None where nobody has made one."""
        found = self._sandbox.find("billing_portal.configuration", session["configuration"])
        features: Doc | None = found["features"] if found is not None else None
        return features

    def _do(self, customer: str, sent: dict[str, str]) -> None:
        sandbox, action = self._sandbox, sent.get("action")
        if action == "card":
            self._change_card(customer, sent.get("card", "visa"))
            return
        if action == "pay":
            invoice = sandbox.get("invoice", sent.get("invoice", ""), "invoice")
            _check_owner(invoice, customer)
            invoices.pay(sandbox, {"off_session": False}, invoice["id"])
            return
        subscription = sandbox.get("subscription", sent.get("subscription", ""), "subscription")
        _check_owner(subscription, customer)
        if action == "cancel":
            subscriptions.update(sandbox, _ending(subscription), subscription["id"])
        elif action == "undo":
            subscriptions.update(sandbox, {"cancel_at": ""}, subscription["id"])
        elif action == "resume":
            subscription_pauses.resume(sandbox, {}, subscription["id"])
        elif action == "change":
            subscriptions.update(
                sandbox,
                {
                    "items": [{"id": _plan(subscription)["id"], "price": sent.get("price", "")}],
                    "proration_behavior": "always_invoice",
                    "payment_behavior": "pending_if_incomplete",
                },
                subscription["id"],
            )
        else:
            raise invalid("There is nothing to do.", "action")

    def _bank_of(self, invoice: str) -> str | None:
        """The page on which the holder of the card can confirm a payment."""
        intent = payments.intent_of(self._sandbox, invoice)
        if intent is None or intent["status"] != "requires_action":
            return None
        return str(intent["next_action"]["redirect_to_url"]["url"])

    def _change_card(self, customer: str, card: str) -> None:
        sandbox = self._sandbox
        holder = sandbox.get("customer", customer)
        method = payment_methods.new_method(sandbox, _CARDS.get(card, "visa"))
        payment_methods.put_on(sandbox, method["id"], holder, "payment_method")
        settings = {"default_payment_method": method["id"]}
        customers.update(sandbox, {"invoice_settings": settings}, customer)
        for subscription in sandbox.all("subscription", customer=customer):
            if subscription["status"] not in standing.TERMINAL:
                subscriptions.update(sandbox, settings, subscription["id"])

    def _page(
        self, id: str, status: int = 200, *, notice: str | None = None, error: str | None = None
    ) -> Response:
        sandbox = self._sandbox
        session = sandbox.find("billing_portal.session", id)
        if session is None:
            return not_found("portal session")
        customer = sandbox.get("customer", session["customer"])
        live = [
            subscription
            for subscription in sandbox.all("subscription", customer=customer["id"])
            if subscription["status"] not in standing.TERMINAL
        ]
        return page(
            "portal.html",
            status,
            session=session,
            customer=customer,
            subscriptions=[self._card(customer, one) for one in live],
            method=standing.method_for(sandbox, live[0] if live else None, customer),
            invoices=[
                invoice
                for invoice in sandbox.all("invoice", customer=customer["id"])
                if invoice["status"] != "draft"
            ][:24],
            notice=notice,
            error=error,
            may={action: _allows(self._allowed(session), action) for action in _FEATURES},
        )

    def _card(self, customer: Doc, subscription: Doc) -> Doc:
        """One subscription as the page shows it, with the plans it could change to."""
        plan = _plan(subscription)
        prices = [
            price
            for price in self._sandbox.all("price", active=1, type="recurring", oldest_first=True)
            if price["recurring"]["usage_type"] == "licensed"
            and price["currency"] == subscription["currency"]
            and price["id"] != plan["price"]["id"]
        ]
        return {
            "id": subscription["id"],
            "status": subscription["status"],
            "name": self._name(plan["price"]),
            "price": plan["price"],
            "quantity": plan.get("quantity", 1),
            "renews_at": standing.renewal_due(subscription),
            "trial_end": subscription["trial_end"],
            "cancel_at": subscription["cancel_at"],
            "pending": subscription["pending_update"],
            "scheduled": subscription["schedule"],
            "choices": [
                {"id": price["id"], "name": self._name(price), "price": price} for price in prices
            ],
        }

    def _name(self, price: Doc) -> str:
        product = self._sandbox.find("product", price["product"])
        return str(product["name"] if product else price["product"])


def _allows(features: Doc | None, action: str) -> bool:
    return features is None or action not in _FEATURES or features[_FEATURES[action]]["enabled"]


def _ending(subscription: Doc) -> Doc:
    """The portal of a flexible subscription sets the date, that of a classic one the flag."""
    if subscription["billing_mode"]["type"] == "classic":
        return {"cancel_at_period_end": True}
    return {"cancel_at": standing.period_end(subscription)}


def _check_owner(doc: Doc, customer: str) -> None:
    if doc["customer"] != customer:
        raise Refusal("This belongs to someone else.", status=404)


def _plan(subscription: Doc) -> Doc:
    """The item a person means by "my plan": the first that is not metered."""
    found: list[Doc] = subscription["items"]["data"]
    return next((item for item in found if not items.is_metered(item)), found[0])
