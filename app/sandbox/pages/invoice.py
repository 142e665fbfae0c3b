"""An invoice to look at, to pay, and as a PDF."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.sandbox.billing import payments
from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal
from app.sandbox.nouns import invoices
from app.sandbox.pages.paper import pdf
from app.sandbox.pages.rendering import Page, form, go, not_found, page


class InvoicePage(Page):
    @property
    def routes(self) -> list[Route]:
        return [
            Route("/i/{id}", self.show, methods=["GET"]),
            Route("/i/{id}", self.pay, methods=["POST"]),
            Route("/i/{id}/pdf", self.paper, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        self._before()
        invoice = self._find(request)
        return not_found("invoice") if invoice is None else page(
            "invoice.html", invoice=invoice, error=None
        )  # fmt: skip

    async def pay(self, request: Request) -> Response:
        """Pay with the card on file, or with one that is picked."""
        self._before()
        invoice = self._find(request)
        if invoice is None:
            return not_found("invoice")
        card = (await form(request)).get("card")
        params: Doc = {"off_session": False}
        if card:
            params["payment_method"] = f"pm_card_{card}"
        try:
            with self._sandbox.unit():
                invoices.pay(self._sandbox, params, invoice["id"])
        except Refusal as refusal:
            message = refusal.error["message"]
            latest = self._find(request)
            if latest is not None and (bank := self._bank_of(latest)):
                return go(bank)
            return page("invoice.html", refusal.status, invoice=latest, error=message)
        finally:
            self._after()
        return go(f"/i/{invoice['id']}")

    def _bank_of(self, invoice: Doc) -> str | None:
        """The page on which the holder of the card can confirm the payment."""
        with self._sandbox.unit():
            intent = payments.intent_of(self._sandbox, invoice["id"])
            if intent is None or intent["status"] != "requires_action":
                return None
            return str(intent["next_action"]["redirect_to_url"]["url"])

    async def paper(self, request: Request) -> Response:
        invoice = self._find(request)
        if invoice is None:
            return not_found("invoice")
        name = f'attachment; filename="{invoice["number"]}.pdf"'
        return Response(
            pdf(invoice), media_type="application/pdf", headers={"Content-Disposition": name}
        )

    def _find(self, request: Request) -> Doc | None:
        with self._sandbox.unit():
            invoice = self._sandbox.find("invoice", request.path_params["id"])
            return invoice if invoice is not None and invoice["status"] != "draft" else None
