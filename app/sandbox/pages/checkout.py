"""The hosted checkout page: pay now or later, confirm, be declined, or go back."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.billing import charging, discounting, ordering, setups
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal, card_declined
from app.sandbox.nouns import checkout_sessions, customers, payment_methods
from app.sandbox.pages.rendering import Page, form, go, not_found, page

_METHODS = {
    "works": "visa",
    "declines": "chargeDeclined",
    "confirms": "threeDSecure2Required",
    "always_confirms": "authenticationRequired",
    "sepa": "sepa",
    "sepa_fails": "sepa_fails",
    "ach": "ach",
    "ach_fails": "ach_fails",
}
"""What can be picked on the page, and the test card or account it stands for."""
_BUTTONS = {
    "decline": "chargeDeclined",
    "challenge": "threeDSecure2Required",
    "delayed": "sepa",
    "delayed_fails": "sepa_fails",
}
"""Buttons that pick and pay in one."""


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
        action = sent.get("action", "pay")
        try:
            if action == "abandon":
                return self._abandon(id)
            if action == "expire":
                return self._expire(id)
            if action in ("apply", "remove"):
                self._promote(id, sent.get("code", "") if action == "apply" else None)
                return go(f"/c/pay/{id}")
            card = _BUTTONS.get(action) or _METHODS.get(sent.get("card", "works"), "visa")
            return self._pay(id, card, sent)
        except Refusal as refusal:
            return self._refused(id, refusal, sent)

    def _refused(self, id: str, refusal: Refusal, sent: dict[str, str]) -> Response:
        if refusal.status == 402:
            self._record_decline(id)
        with self._sandbox.unit():
            return self._page(id, refusal.status, refusal.error["message"], sent)

    def _pay(self, id: str, card: str, sent: dict[str, str]) -> Response:
        sandbox = self._sandbox
        with sandbox.unit():
            session = sandbox.get("checkout.session", id)
            if session["status"] == "expired":
                return self._page(id)
            if session["status"] == "open":
                ordering.priced(sandbox, session)
                email = self._email(session, sent)
                method = None
                if _needs_card(session):
                    details = {"email": email, "name": sent.get("name") or None}
                    method = payment_methods.new_method(sandbox, card, {"billing_details": details})
                if method is not None and charging.must_authenticate(method, on_session=True):
                    asked = ordering.ask_payer(sandbox, session, method, _kept(sent))
                    return go(str(asked["next_action"]["redirect_to_url"]["url"]))
                self._complete(session, method, sent, authenticated=False)
            return go(_back_to_shop(session))

    def finish(self, id: str, *, confirmed: bool) -> Response:
        """Go on with an order whose payer was asked to confirm the payment."""
        sandbox = self._sandbox
        sent: dict[str, str] = {}
        try:
            with sandbox.unit():
                session = sandbox.get("checkout.session", id)
                if session["status"] != "open":
                    return go(f"/c/pay/{id}")
                challenge = session.pop("_challenge")
                sent = challenge["sent"]
                if not confirmed:
                    self._leave_unconfirmed(session)
                    return self._page(id, 402, "You did not confirm the payment.", sent)
                ordering.priced(sandbox, session)
                method = sandbox.get("payment_method", challenge["method"])
                self._complete(session, method, sent, authenticated=True)
                return go(_back_to_shop(session))
        except Refusal as refusal:
            return self._refused(id, refusal, sent)

    def _leave_unconfirmed(self, session: Doc) -> None:
        sandbox = self._sandbox
        sandbox.save(session)
        if session["amount_total"]:
            charging.refuse(sandbox, sandbox.get("payment_intent", session["_intent"]))
        else:
            setups.refuse(sandbox, sandbox.get("setup_intent", session["_setup"]))

    def _complete(
        self, session: Doc, method: Doc | None, sent: dict[str, str], *, authenticated: bool
    ) -> None:
        sandbox = self._sandbox
        customer = self._customer(session, sent)
        if method is not None:
            if method["_decline_code"]:
                raise card_declined(charging.decline(method))
            payment_methods.put_on(sandbox, method["id"], customer, "payment_method")
            if not session["amount_total"]:
                ordering.save_method(sandbox, session, customer, method)
        ordering.complete(sandbox, session, customer, method, authenticated=authenticated)

    def _email(self, session: Doc, sent: dict[str, str]) -> str:
        if session["customer"]:
            return str(self._sandbox.get("customer", session["customer"])["email"] or "")
        email = str(session["customer_email"] or sent.get("email", "").strip()[:500])
        if "@" not in email:
            raise Refusal("Please enter your e-mail address.")
        return email

    def _customer(self, session: Doc, sent: dict[str, str]) -> Doc:
        if session["customer"]:
            return self._sandbox.get("customer", session["customer"])
        fields = {"email": self._email(session, sent)}
        if name := sent.get("name", "").strip()[:200]:
            fields["name"] = name
        return customers.create(self._sandbox, fields)

    def _record_decline(self, id: str) -> None:
        with self._sandbox.unit():
            session = self._sandbox.get("checkout.session", id)
            if session["amount_total"] and session["status"] == "open":
                method = payment_methods.new_method(self._sandbox, "chargeDeclined")
                ordering.attempt_alone(self._sandbox, session, method)

    def _expire(self, id: str) -> Response:
        with self._sandbox.unit():
            checkout_sessions.lapse(self._sandbox, self._sandbox.get("checkout.session", id))
        return go(f"/c/pay/{id}")

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


def _kept(sent: dict[str, str]) -> dict[str, str]:
    return {key: sent[key] for key in ("email", "name") if key in sent}


def _back_to_shop(session: Doc) -> str:
    url = str(session["success_url"])
    for placeholder in ("{CHECKOUT_SESSION_ID}", "%7BCHECKOUT_SESSION_ID%7D"):
        url = url.replace(placeholder, session["id"])
    return url
