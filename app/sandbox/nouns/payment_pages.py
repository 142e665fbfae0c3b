"""Payment pages: the undocumented calls behind a hosted checkout, which Stripe's CLI makes."""

from app.sandbox.billing import charging, ordering
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc, Fields, Text, Whole
from app.sandbox.core.refusals import card_declined, invalid, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import customers, payment_methods

CONFIRM = Fields({"expected_amount": Whole(), "payment_method": Text()}, needs=("payment_method",))


def retrieve(sandbox: Sandbox, params: Doc, session: str) -> Doc:
    return sandbox.get("checkout.session", session, "session")


def confirm(sandbox: Sandbox, params: Doc, session: str) -> Doc:
    """Pay for a checkout as its page would, with a payment method that is there already."""
    doc = sandbox.get("checkout.session", session, "session")
    if doc["status"] != "open":
        raise wrong_state(f"This checkout session is {doc['status']}.")
    method = sandbox.named("payment_method", params["payment_method"], "payment_method")
    ordering.priced(sandbox, doc)
    if params.get("expected_amount", doc["amount_total"]) != doc["amount_total"]:
        raise invalid("The amount of this checkout is another.", "expected_amount")
    if charging.must_authenticate(method, on_session=True):
        raise wrong_state("A payment that its holder must confirm needs the hosted page.")
    if method["_decline_code"]:
        raise card_declined(charging.decline(method))
    customer = (
        sandbox.get("customer", doc["customer"])
        if doc["customer"]
        else customers.create(sandbox, {"email": _email(doc, method)})
    )
    payment_methods.put_on(sandbox, method["id"], customer, "payment_method")
    if not doc["amount_total"]:
        ordering.save_method(sandbox, doc, customer, method)
    ordering.complete(sandbox, doc, customer, method, authenticated=False)
    return doc


def _email(session: Doc, method: Doc) -> str:
    email = session["customer_email"] or method["billing_details"]["email"]
    if not email:
        raise invalid("The payer's e-mail address is missing.", "payment_method")
    return str(email)


_ONE = "/v1/payment_pages/{session}"
OPERATIONS = (
    Operation("GET", _ONE, retrieve, NOTHING, ""),
    Operation("POST", f"{_ONE}/confirm", confirm, CONFIRM, ""),
)
