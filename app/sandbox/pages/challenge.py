"""The page of the bank: a holder confirms a payment, or does not."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.billing import settlement, setups
from app.sandbox.core.params import Doc
from app.sandbox.pages.checkout import CheckoutPage
from app.sandbox.pages.rendering import Page, form, go, not_found, page


class ChallengePage(Page):
    """3-D Secure for whatever waits for it: invoices, checkouts, payments, saved cards."""

    @property
    def routes(self) -> list[Route]:
        return [
            Route("/3ds/{id}", self.show, methods=["GET"]),
            Route("/3ds/{id}", self.answer, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        self._before()
        with self._sandbox.unit():
            intent = self._find(request)
            if intent is None:
                return not_found("payment")
            if intent["status"] != "requires_action":
                return _done(intent)
            method = self._sandbox.get("payment_method", intent["payment_method"])
            return page("challenge.html", intent=intent, method=method)

    async def answer(self, request: Request) -> Response:
        self._before()
        confirmed = (await form(request)).get("action") == "confirm"
        try:
            with self._sandbox.unit():
                intent = self._find(request)
                if intent is None:
                    return not_found("payment")
                session = intent.get("_session")
                if intent["status"] != "requires_action":
                    return _done(intent)
                if session is None:
                    self._settle(intent, confirmed=confirmed)
                    invoice = intent.get("_invoice")
                    return go(f"/i/{invoice}" if invoice else f"/3ds/{intent['id']}")
            checkout = CheckoutPage(self._sandbox, self._before, self._after)
            return checkout.finish(session, confirmed=confirmed)
        finally:
            self._after()

    def _settle(self, intent: Doc, *, confirmed: bool) -> None:
        if intent["object"] == "payment_intent":
            settlement.answer_challenge(self._sandbox, intent, confirmed=confirmed)
        elif confirmed:
            setups.succeed(self._sandbox, intent)
        else:
            setups.refuse(self._sandbox, intent)

    def _find(self, request: Request) -> Doc | None:
        id = request.path_params["id"]
        kind = "setup_intent" if id.startswith("seti_") else "payment_intent"
        return self._sandbox.find(kind, id)


def _done(intent: Doc) -> Response:
    worked = intent["status"] in ("succeeded", "processing")
    return page(
        "message.html",
        title="Confirmed" if worked else "Not confirmed",
        text="You can close this page." if worked else "Please try another card.",
        link=None,
    )
