"""Invoices."""

from app.sandbox.billing import (
    fates,
    invoicing,
    payments,
    settlement,
    waiting,
)
from app.sandbox.core.lists import Condition, matching, page, page_of
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Metadata,
    Range,
    Text,
    Whole,
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import card_declined, invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns.payment_methods import put_on

_NEEDS_PAYER: Doc = {
    "code": "invoice_payment_intent_requires_action",
    "message": "This payment requires additional user action before it can be completed "
    "successfully. Payment can be completed using the PaymentIntent associated with this invoice.",
}
_SUBSCRIPTION = "parent.subscription_details.subscription"


def retrieve(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    return sandbox.get("invoice", invoice, "invoice")


def update(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    doc["metadata"] = merged(doc["metadata"], params.get("metadata"))
    if "auto_advance" in params and doc["status"] in ("draft", "open"):
        doc["auto_advance"] = params["auto_advance"]
        due = doc["next_payment_attempt"] or sandbox.now() + invoicing.HOUR
        if doc["status"] == "draft":
            doc["automatically_finalizes_at"] = due if params["auto_advance"] else None
        sandbox.wake(doc, due if params["auto_advance"] else None)
    if "description" in params:
        doc["description"] = params["description"] or None
    return sandbox.save(doc, "invoice.updated")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions: list[Condition] = matching(
        params, "customer", "status", "collection_method", subscription=_SUBSCRIPTION
    )
    return page(sandbox, "invoice", "/v1/invoices", params, conditions)


def confirmation_secret(sandbox: Sandbox, invoice: Doc) -> Doc | None:
    """What `expand[]=confirmation_secret` puts on an invoice."""
    intent = payments.intent_of(sandbox, invoice["id"])
    return intent and {"type": "payment_intent", "client_secret": intent["client_secret"]}


def list_lines(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    return page_of(doc["lines"]["data"], doc["lines"]["url"], params)


def finalize(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["status"] != "draft":
        raise wrong_state("This invoice is already finalized, you can't re-finalize a non-draft "
                          "invoice.")  # fmt: skip
    invoicing.finalize(sandbox, doc)
    if doc["status"] == "paid":
        settlement.settled(sandbox, doc)
    elif params.get("auto_advance", doc["auto_advance"]):
        if doc["collection_method"] == "send_invoice":
            fates.send(sandbox, doc)
        else:
            sandbox.wake(doc, sandbox.now() + invoicing.HOUR)
    return doc


def pay(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    """Collect now; a card that declines leaves its failed attempt behind."""
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["status"] == "paid":
        raise wrong_state("Invoice is already paid", "invoice_already_paid")
    if doc["status"] == "void":
        raise wrong_state(f"This invoice can't be paid: it is {doc['status']}.")
    customer = sandbox.get("customer", doc["customer"])
    if doc["status"] == "draft":
        invoicing.finalize(sandbox, doc)
        if doc["status"] == "paid":
            settlement.settled(sandbox, doc)
            return doc
    intent = payments.intent_of(sandbox, doc["id"])
    if intent is not None and intent["status"] == "processing":
        raise wrong_state("This invoice has a payment that is still processing.")
    if params.get("paid_out_of_band"):
        payments.give_up(sandbox, doc)
        doc["amount_paid_off_stripe"] = doc["amount_due"]
        invoicing.mark_paid(sandbox, doc)
        settlement.settled(sandbox, doc)
        return doc
    if "payment_method" in params:
        method = put_on(sandbox, params["payment_method"], customer, "payment_method")
    else:
        found = settlement.method_of(sandbox, doc)
        if found is None:
            raise invalid(
                "There is no default payment method set on this Customer's invoice settings. "
                "Please set one, or pass payment_method.",
                "payment_method",
            )
        method = found
    retry_at = doc["next_payment_attempt"]
    on_session = not params.get("off_session", True)
    outcome = settlement.collect(sandbox, doc, method, plans_retry=False, on_session=on_session)
    if outcome.status in ("failed", "requires_action"):
        # An attempt by hand does not take the place of those that are planned.
        doc["next_payment_attempt"] = retry_at
        sandbox.save(doc)
        sandbox.wake(doc, retry_at)
        raise card_declined(outcome.error or _NEEDS_PAYER, keeps_changes=True)
    return doc


def void(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["status"] not in ("open", "uncollectible"):
        raise wrong_state(f"You can only void open invoices; this one is {doc['status']}.")
    invoicing.void(sandbox, doc)
    fates.written_off(sandbox, doc)
    return doc


def mark_uncollectible(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["status"] != "open":
        raise wrong_state(f"You can only mark open invoices; this one is {doc['status']}.")
    invoicing.give_up(sandbox, doc, "user_forgiven")
    fates.written_off(sandbox, doc)
    return doc


def create(sandbox: Sandbox, params: Doc) -> Doc:
    """An invoice by hand: empty, or with what waits for the customer's next one."""
    if "customer" not in params:
        raise required("customer")
    customer = sandbox.named("customer", params["customer"], "customer")
    subscription = None
    if "subscription" in params:
        subscription = sandbox.named("subscription", params["subscription"], "subscription")
    doc = invoicing.blank(sandbox, customer, "manual", subscription)
    by_mail = params.get("collection_method") == "send_invoice"
    if ("days_until_due" in params or "due_date" in params) and not by_mail:
        raise invalid(
            "You can only set days_until_due or due_date if collection_method is `send_invoice`.",
            "days_until_due",
        )
    doc.update(
        auto_advance=params.get("auto_advance", False),
        collection_method=params.get("collection_method", doc["collection_method"]),
        currency=str(params.get("currency", doc["currency"])).lower(),
        default_payment_method=params.get("default_payment_method"),
        description=params.get("description"),
        due_date=params.get("due_date"),
        metadata=merged({}, params.get("metadata")),
    )
    if "days_until_due" in params:
        doc["_days_until_due"] = params["days_until_due"]
    if params.get("pending_invoice_items_behavior") == "include":
        waiting.take(sandbox, doc, waiting.of_nobody(sandbox, customer["id"], doc["currency"]))
    if subscription is not None:
        waiting.take(sandbox, doc, waiting.of_subscription(sandbox, subscription))
    invoicing.price_up(sandbox, doc, subscription)
    if doc["auto_advance"]:
        doc["automatically_finalizes_at"] = sandbox.now() + invoicing.HOUR
        sandbox.wake(doc, doc["automatically_finalizes_at"])
    return sandbox.add(doc, "invoice.created")


def delete(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["status"] != "draft" or doc["billing_reason"] != "manual":
        raise wrong_state("You can only delete draft invoices that were made by hand.")
    sandbox.emit("invoice.deleted", doc)
    sandbox.wake(doc, None)
    return sandbox.save({"id": invoice, "object": "invoice", "deleted": True})


def send(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["collection_method"] != "send_invoice":
        raise wrong_state("You can only send invoices whose collection_method is `send_invoice`.")
    if doc["status"] == "draft":
        finalize(sandbox, {"auto_advance": False}, invoice)
    if doc["status"] == "open":
        fates.send(sandbox, doc)
    return doc


CREATE = Fields(
    {
        "auto_advance": Flag(),
        "collection_method": one_of("charge_automatically", "send_invoice"),
        "currency": Text(most=3),
        "customer": Text(),
        "days_until_due": Whole(),
        "default_payment_method": Text(),
        "description": Text(),
        "due_date": instant(),
        "metadata": Metadata(),
        "pending_invoice_items_behavior": one_of("exclude", "include"),
        "subscription": Text(),
    }
)
OPERATIONS = (
    Operation("POST", "/v1/invoices", create, CREATE, "InvoiceCreateParams"),
    Operation(
        "GET",
        "/v1/invoices",
        list_,
        listing(
            collection_method=one_of("charge_automatically", "send_invoice"),
            created=Range(),
            customer=Text(),
            status=one_of("draft", "open", "paid", "uncollectible", "void"),
            subscription=Text(),
        ),
        "InvoiceListParams",
    ),
    Operation("GET", "/v1/invoices/{invoice}", retrieve, NOTHING, "InvoiceRetrieveParams"),
    Operation(
        "POST",
        "/v1/invoices/{invoice}",
        update,
        Fields(
            {
                "auto_advance": Flag(),
                "description": Text(clears=True),
                "metadata": Metadata(),
            }
        ),
        "InvoiceUpdateParams",
    ),
    Operation(
        "GET",
        "/v1/invoices/{invoice}/lines",
        list_lines,
        listing(),
        "InvoiceLineItemListParams",
    ),
    Operation(
        "POST",
        "/v1/invoices/{invoice}/finalize",
        finalize,
        Fields({"auto_advance": Flag()}),
        "InvoiceFinalizeInvoiceParams",
    ),
    Operation(
        "POST",
        "/v1/invoices/{invoice}/pay",
        pay,
        Fields({"off_session": Flag(), "paid_out_of_band": Flag(), "payment_method": Text()}),
        "InvoicePayParams",
    ),
    Operation("POST", "/v1/invoices/{invoice}/void", void, NOTHING, "InvoiceVoidInvoiceParams"),
    Operation(
        "POST",
        "/v1/invoices/{invoice}/mark_uncollectible",
        mark_uncollectible,
        NOTHING,
        "InvoiceMarkUncollectibleParams",
    ),
    Operation("POST", "/v1/invoices/{invoice}/send", send, NOTHING, "InvoiceSendInvoiceParams"),
    Operation("DELETE", "/v1/invoices/{invoice}", delete, NOTHING, "InvoiceDeleteParams"),
)
