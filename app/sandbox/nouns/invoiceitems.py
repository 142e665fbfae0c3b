"""Invoice items: amounts by hand, for an invoice or for the customer's next one."""

from decimal import Decimal

from app.sandbox.billing import amounts, invoicing, waiting
from app.sandbox.core.lists import matching, page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Metadata,
    Number,
    Range,
    Text,
    Whole,
    instant,
    listing,
    merged,
)
from app.sandbox.core.refusals import invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox

_AMOUNT = Whole(least=-(10**12))
CREATE = Fields(
    {
        "amount": _AMOUNT,
        "currency": Text(most=3),
        "customer": Text(),
        "description": Text(),
        "discountable": Flag(),
        "invoice": Text(),
        "metadata": Metadata(),
        "period": Fields({"end": instant(), "start": instant()}, needs=("end", "start")),
        "pricing": Fields({"price": Text()}),
        "quantity": Whole(),
        "subscription": Text(),
        "unit_amount_decimal": Number(),
    }
)
UPDATE = Fields({"amount": _AMOUNT, "description": Text(clears=True), "metadata": Metadata()})


def create(sandbox: Sandbox, params: Doc) -> Doc:
    if "customer" not in params:
        raise required("customer")
    customer = sandbox.named("customer", params["customer"], "customer")
    invoice = _draft(sandbox, params["invoice"], customer) if "invoice" in params else None
    now = sandbox.now()
    sent = params.get("period", {"start": now, "end": now})
    quantity = params.get("quantity", 1)
    amount, currency, pricing = _worth(sandbox, params, quantity, invoice)
    item = waiting.wait(
        sandbox, customer, amount, currency, params.get("description"),
        (sent["start"], sent["end"]),
    )  # fmt: skip
    item.update(
        discountable=params.get("discountable", item["discountable"]),
        metadata=merged({}, params.get("metadata")),
        pricing=pricing,
        quantity=quantity,
        quantity_decimal=str(quantity),
    )
    if "subscription" in params:
        subscription = sandbox.named("subscription", params["subscription"], "subscription")
        item["parent"] = {
            "type": "subscription_details",
            "subscription_details": {
                "subscription": subscription["id"],
                "subscription_item": subscription["items"]["data"][0]["id"],
            },
        }
    sandbox.add(item, "invoiceitem.created")
    if invoice is not None:
        waiting.take(sandbox, invoice, [item])
        _add_up(sandbox, invoice)
    return item


def _draft(sandbox: Sandbox, id: str, customer: Doc) -> Doc:
    invoice = sandbox.named("invoice", id, "invoice")
    if invoice["customer"] != customer["id"]:
        raise invalid("The invoice belongs to another customer.", "invoice")
    if invoice["status"] != "draft":
        raise wrong_state("Invoice is no longer editable.", "invoice_not_editable")
    return invoice


def _worth(
    sandbox: Sandbox, params: Doc, quantity: int, invoice: Doc | None
) -> tuple[int, str, Doc | None]:
    """The amount, its currency, and the price behind it if there is one."""
    if named := params.get("pricing", {}).get("price"):
        price = sandbox.named("price", named, "pricing[price]")
        if price["type"] != "one_time":
            raise invalid("Only a price of type=one_time can be billed by hand.", "pricing[price]")
        pricing: Doc = {
            "type": "price_details",
            "price_details": {"price": price["id"], "product": price["product"]},
            "unit_amount_decimal": price["unit_amount_decimal"],
        }
        return amounts.of_price(price, quantity), price["currency"], pricing
    currency = params.get("currency", invoice["currency"] if invoice else None)
    if currency is None:
        raise required("currency")
    currency = currency.lower()
    if invoice is not None and currency != invoice["currency"]:
        raise invalid(f"The invoice is in {invoice['currency']}.", "currency")
    if "unit_amount_decimal" in params:
        each = Decimal(params["unit_amount_decimal"])
        return amounts.whole(each * quantity), currency, None
    if "amount" not in params:
        raise required("amount")
    return params["amount"], currency, None


def _add_up(sandbox: Sandbox, invoice: Doc) -> None:
    invoicing.again(sandbox, invoice)
    sandbox.save(invoice, "invoice.updated")


def retrieve(sandbox: Sandbox, params: Doc, invoiceitem: str) -> Doc:
    return sandbox.get("invoiceitem", invoiceitem, "invoiceitem")


def update(sandbox: Sandbox, params: Doc, invoiceitem: str) -> Doc:
    item, invoice = _editable(sandbox, invoiceitem)
    item["metadata"] = merged(item["metadata"], params.get("metadata"))
    if "description" in params:
        item["description"] = params["description"] or None
    item["amount"] = item["net_amount"] = params.get("amount", item["amount"])
    if invoice is not None:
        for n, line in enumerate(invoice["lines"]["data"]):
            if _item_of(line) == invoiceitem:
                again = waiting.put_on(invoice, item)
                again["id"] = line["id"]
                invoice["lines"]["data"][n] = invoice["lines"]["data"].pop()
        _add_up(sandbox, invoice)
    return sandbox.save(item)


def delete(sandbox: Sandbox, params: Doc, invoiceitem: str) -> Doc:
    item, invoice = _editable(sandbox, invoiceitem)
    if invoice is not None:
        lines = invoice["lines"]
        lines["data"] = [line for line in lines["data"] if _item_of(line) != invoiceitem]
        _add_up(sandbox, invoice)
    sandbox.emit("invoiceitem.deleted", item)
    return sandbox.save({"id": invoiceitem, "object": "invoiceitem", "deleted": True})


def _editable(sandbox: Sandbox, id: str) -> tuple[Doc, Doc | None]:
    item = sandbox.get("invoiceitem", id, "invoiceitem")
    invoice = sandbox.get("invoice", item["invoice"]) if item["invoice"] else None
    if invoice is not None and invoice["status"] != "draft":
        raise wrong_state("Invoice is no longer editable.", "invoice_not_editable")
    return item, invoice


def _item_of(line: Doc) -> str | None:
    parent: Doc = line["parent"] or {}
    details: Doc = parent.get(parent.get("type", "")) or {}
    return details.get("invoice_item")


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    conditions = matching(params, "customer", "invoice")
    if "pending" in params:
        missing = "IS NULL" if params["pending"] else "IS NOT NULL"
        conditions.append((f"json_extract(doc, '$.invoice') {missing} AND ?", 1))
    return page(sandbox, "invoiceitem", "/v1/invoiceitems", params, conditions)


_ONE = "/v1/invoiceitems/{invoiceitem}"
OPERATIONS = (
    Operation("POST", "/v1/invoiceitems", create, CREATE, "InvoiceItemCreateParams"),
    Operation(
        "GET",
        "/v1/invoiceitems",
        list_,
        listing(created=Range(), customer=Text(), invoice=Text(), pending=Flag()),
        "InvoiceItemListParams",
    ),
    Operation("GET", _ONE, retrieve, NOTHING, "InvoiceItemRetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, "InvoiceItemUpdateParams"),
    Operation("DELETE", _ONE, delete, NOTHING, "InvoiceItemDeleteParams"),
)
