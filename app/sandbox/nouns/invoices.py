"""Invoices."""

import copy

from app.sandbox.billing import (
    changes,
    fates,
    invoicing,
    payments,
    renewal,
    settlement,
    standing,
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
    instant,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import card_declined, invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import subscriptions
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
        sandbox.wake(doc, sandbox.now() + invoicing.HOUR)
    return doc


def pay(sandbox: Sandbox, params: Doc, invoice: str) -> Doc:
    """Collect now; a card that declines leaves its failed attempt behind."""
    doc = sandbox.get("invoice", invoice, "invoice")
    if doc["status"] == "paid":
        raise wrong_state("Invoice is already paid", "invoice_already_paid")
    if doc["status"] in ("void", "uncollectible"):
        raise wrong_state(f"This invoice can't be paid: it is {doc['status']}.")
    subscription = invoicing.subscription_of(sandbox, doc)
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
        invoicing.mark_paid(sandbox, doc)
        settlement.settled(sandbox, doc)
        return doc
    if "payment_method" in params:
        method = put_on(sandbox, params["payment_method"], customer, "payment_method")
    else:
        found = standing.method_for(sandbox, subscription, customer)
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


def create_preview(sandbox: Sandbox, params: Doc) -> Doc:
    """What a subscription would be billed next, as it is or after a change."""
    if "subscription" not in params:
        raise required("subscription")
    subscription = sandbox.named("subscription", params["subscription"], "subscription")
    if params.get("customer", subscription["customer"]) != subscription["customer"]:
        raise invalid("The subscription belongs to another customer.", "customer")
    details = params.get("subscription_details", {})
    if subscription["status"] in standing.TERMINAL:
        raise wrong_state("You cannot preview the invoice of a canceled subscription.",
                          "invoice_upcoming_none")  # fmt: skip
    if not details.keys() & {"items", "trial_end", "billing_cycle_anchor"}:
        if subscription["cancel_at"] is not None:
            raise wrong_state("No upcoming invoices for this subscription.",
                              "invoice_upcoming_none")  # fmt: skip
        return _as_preview(renewal.next_invoice(sandbox, subscription))
    change = changes.plan(sandbox, subscription, details)
    after = {**copy.deepcopy(subscription), **change.after}
    customer = sandbox.get("customer", subscription["customer"])
    if change.bills_now or details.get("proration_behavior") == "always_invoice":
        invoice = invoicing.blank(sandbox, customer, "subscription_update", after)
    else:
        invoice = renewal.next_invoice(sandbox, after)
    changes.write_lines(sandbox, invoice, change)
    invoicing.price_up(sandbox, invoice, after)
    return _as_preview(invoice)


def _as_preview(invoice: Doc) -> Doc:
    name = invoice["id"].replace("in_", "upcoming_in_")
    lines = invoice["lines"]
    for line in lines["data"]:
        line["invoice"] = name
    return {**invoice, "id": name, "lines": {**lines, "url": f"/v1/invoices/{name}/lines"}}


_DETAILS = Fields(
    {
        "billing_cycle_anchor": Fields({"type": one_of("now", "unchanged")}, needs=("type",)),
        "items": subscriptions.ITEM_CHANGES,
        "proration_behavior": subscriptions.PRORATION,
        "proration_date": instant(),
        "trial_end": instant("now"),
    }
)
OPERATIONS = (
    Operation(
        "POST",
        "/v1/invoices/create_preview",
        create_preview,
        Fields({"customer": Text(), "subscription": Text(), "subscription_details": _DETAILS}),
        "InvoiceCreatePreviewParams",
    ),
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
)
