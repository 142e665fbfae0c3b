"""The hosted checkout page: pay, be declined, or go back."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.billing import discounting, ordering
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal, card_declined
from app.sandbox.nouns import customers, payment_methods, setup_intents
from app.sandbox.pages.rendering import Page, form, go, not_found, page

_CARDS = {"works": "visa", "declines": "chargeDeclined"}


class CheckoutPage(Page):
    @property
    def routes(self) -> list[Route]:
        return [
            Route("/c/pay/{id}", self.show, methods=["GET"]),
            Route("/c/pay/{id}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        self._before()
        with self._sandbox.unit():
            return self._page(request.path_params["id"])

    async def act(self, request: Request) -> Response:
        self._before()
        id = request.path_params["id"]
        if self._sandbox.find("checkout.session", id) is None:
            return not_found("checkout")
        answer = self._act(id, await form(request))
        self._after()
        return answer

    def _act(self, id: str, sent: dict[str, str]) -> Response:
        action = sent.get("action")
        try:
            if action == "abandon":
                return self._abandon(id)
            if action in ("apply", "remove"):
                self._promote(id, sent.get("code", "") if action == "apply" else None)
                return go(f"/c/pay/{id}")
            card = "declines" if action == "decline" else sent.get("card", "works")
            return self._pay(id, card, sent)
        except Refusal as refusal:
            if refusal.status == 402:
                self._record_decline(id)
            with self._sandbox.unit():
                return self._page(id, refusal.status, refusal.error["message"], sent)

    def _pay(self, id: str, card: str, sent: dict[str, str]) -> Response:
        sandbox = self._sandbox
        with sandbox.unit():
            session = sandbox.get("checkout.session", id)
            if session["status"] == "open":
                ordering.priced(sandbox, session)
                customer = self._customer(session, sent)
                method = self._method(session, customer, card)
                ordering.complete(sandbox, session, customer, method)
            elif session["status"] == "expired":
                return self._page(id)
            url = str(session["success_url"])
        for placeholder in ("{CHECKOUT_SESSION_ID}", "%7BCHECKOUT_SESSION_ID%7D"):
            url = url.replace(placeholder, id)
        return go(url)

    def _customer(self, session: Doc, sent: dict[str, str]) -> Doc:
        if session["customer"]:
            return self._sandbox.get("customer", session["customer"])
        email = session["customer_email"] or sent.get("email", "").strip()[:500]
        if "@" not in email:
            raise Refusal("Please enter your e-mail address.")
        fields = {"email": email}
        if name := sent.get("name", "").strip()[:200]:
            fields["name"] = name
        return customers.create(self._sandbox, fields)

    def _method(self, session: Doc, customer: Doc, card: str) -> Doc | None:
        if not _needs_card(session):
            return None
        method = payment_methods.new_method(
            self._sandbox,
            _CARDS.get(card, "visa"),
            {"billing_details": {"email": customer["email"], "name": customer["name"]}},
        )
        if method["_decline_code"]:
            raise card_declined(payment_methods.decline(method))
        payment_methods.put_on(self._sandbox, method["id"], customer, "payment_method")
        if not session["amount_total"]:
            setup_intents.save_card(self._sandbox, customer["id"], method["id"])
        return method

    def _record_decline(self, id: str) -> None:
        with self._sandbox.unit():
            session = self._sandbox.get("checkout.session", id)
            if session["amount_total"]:
                method = payment_methods.new_method(self._sandbox, _CARDS["declines"])
                ordering.record_decline(self._sandbox, session, method)

    def _abandon(self, id: str) -> Response:
        session = self._sandbox.get("checkout.session", id)
        if session["cancel_url"]:
            return go(session["cancel_url"])
        return page(
            "message.html",
            title="You can close this page",
            text="Nothing was paid. The link stays good until it expires.",
            link=(f"/c/pay/{id}", "Back to the checkout") if session["url"] else None,
        )

    def _promote(self, id: str, typed: str | None) -> None:
        sandbox = self._sandbox
        with sandbox.unit():
            session = sandbox.get("checkout.session", id)
            if session["status"] != "open" or not session["allow_promotion_codes"]:
                raise Refusal("This checkout takes no promotion codes.")
            session["discounts"] = []
            if typed is not None:
                code = discounting.code_named(sandbox, typed)
                if code is None:
                    raise Refusal("This code is not valid.")
                sent = {"promotion_code": code["id"]}
                discounting.redeemable(sandbox, sent, "discounts[0]", session["customer"])
                session["discounts"] = [{"coupon": None, "promotion_code": code["id"]}]
            ordering.priced(sandbox, session)
            sandbox.save(session)

    def _page(
        self, id: str, status: int = 200, error: str | None = None, sent: Doc | None = None
    ) -> Response:
        sandbox = self._sandbox
        session = sandbox.find("checkout.session", id)
        if session is None:
            return not_found("checkout")
        if session["status"] != "open":
            done = session["status"] == "complete"
            return page(
                "message.html",
                200 if done else 410,
                title="Thank you" if done else "This checkout has expired",
                text="This order is complete." if done else "Nothing was paid. Please start again.",
                link=None,
            )
        customer = sandbox.find("customer", session["customer"]) if session["customer"] else None
        return page(
            "checkout.html",
            status,
            session=session,
            lines=ordering.priced(sandbox, session),
            trial_end=ordering.trial_end(sandbox, session),
            codes=[self._code(one) for one in session["discounts"]],
            email=(customer or {}).get("email") or session["customer_email"],
            needs_email=customer is None and not session["customer_email"],
            needs_card=_needs_card(session),
            error=error,
            sent=sent or {},
        )

    def _code(self, discount: Doc) -> str:
        if discount["promotion_code"]:
            code = self._sandbox.get("promotion_code", discount["promotion_code"])
            return str(code["code"])
        coupon = self._sandbox.get("coupon", discount["coupon"])
        return str(coupon["name"] or coupon["id"])


def _needs_card(session: Doc) -> bool:
    return bool(session["amount_total"]) or session["payment_method_collection"] == "always"
