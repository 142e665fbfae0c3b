"""Credit notes: less to pay on an invoice that is final, or something back of one that is paid."""

from app.sandbox.billing import amounts, invoicing, payments, refunding, settlement
from app.sandbox.core import ids
from app.sandbox.core.params import Doc, merged
from app.sandbox.core.refusals import invalid, required, wrong_state
from app.sandbox.core.sandbox import Sandbox


def draw_up(sandbox: Sandbox, invoice: Doc, params: Doc) -> Doc:
    """The note that *params* ask for, not yet kept and of no effect."""
    if invoice["status"] not in ("open", "paid"):
        raise wrong_state(
            f"You can only create credit notes for open or paid invoices; this one is "
            f"{invoice['status']}."
        )
    note = _blank(sandbox, invoice, params)
    lines = _lines(invoice, params)
    subtotal = sum(line["amount"] for line in lines)
    discount = sum(line["discount_amount"] for line in lines)
    total = subtotal - discount
    if "amount" in params and params["amount"] != total:
        raise invalid(f"The lines come to {total}, not to {params['amount']}.", "amount")
    credited = sum(one["total"] for one in _issued(sandbox, invoice))
    left = invoice["total"] - credited
    if not 0 < total <= left:
        raise invalid(
            f"The credit note's amount ({total}) must be positive and at most what is left to "
            f"credit of the invoice ({left}).",
            "amount",
        )
    before = min(total, invoice["amount_remaining"])
    note.update(
        amount=total,
        total=total,
        total_excluding_tax=total,
        subtotal=subtotal,
        subtotal_excluding_tax=subtotal,
        discount_amount=discount,
        pre_payment_amount=before,
        post_payment_amount=total - before,
        type="mixed" if 0 < before < total else "pre_payment" if before else "post_payment",
    )
    note["lines"]["data"] = lines
    _explain(sandbox, note, params)
    return note


def issue(sandbox: Sandbox, invoice: Doc, note: Doc, params: Doc) -> Doc:
    """Keep a note and do what it says."""
    if amount := params.get("refund_amount"):
        refund = refunding.make(
            sandbox, _charge(sandbox, invoice), amount, {"metadata": {}, "reason": None}
        )
        note["refunds"].append(_link(refund["id"], amount))
    if amount := params.get("credit_amount"):
        note["customer_balance_transaction"] = ids.new("cbtxn")
        customer = sandbox.get("customer", invoice["customer"])
        customer["balance"] -= amount
        sandbox.save(customer, "customer.updated")
    sandbox.add(note, "credit_note.created")
    invoice["post_payment_credit_notes_amount"] += note["post_payment_amount"]
    _reduce(sandbox, invoice, note["pre_payment_amount"])
    return note


def void(sandbox: Sandbox, note: Doc) -> Doc:
    """Take a note back, while what it took off is still asked for."""
    invoice = sandbox.get("invoice", note["invoice"])
    if note["status"] == "void":
        raise wrong_state("This credit note is void already.")
    if note["post_payment_amount"] or invoice["status"] != "open":
        raise wrong_state("You can only void credit notes that reduce what an open invoice asks.")
    note.update(status="void", voided_at=sandbox.now())
    sandbox.save(note)
    sandbox.emit("credit_note.voided", note)
    _reduce(sandbox, invoice, -note["pre_payment_amount"])
    return note


def _reduce(sandbox: Sandbox, invoice: Doc, amount: int) -> None:
    """Ask for less, or with a negative amount for more again; for nothing, it is paid."""
    invoice["pre_payment_credit_notes_amount"] += amount
    invoice["amount_due"] -= amount
    invoice["amount_remaining"] -= amount
    sandbox.save(invoice, "invoice.updated")
    if not amount:
        return
    if not invoice["amount_remaining"]:
        payments.give_up(sandbox, invoice)
        invoicing.mark_paid(sandbox, invoice)
        settlement.settled(sandbox, invoice)
        return
    intent = payments.intent_of(sandbox, invoice["id"])
    if intent is not None:
        intent["amount"] = invoice["amount_due"]
        sandbox.save(intent)
    for payment in payments.of_invoice(sandbox, invoice["id"]):
        if payment["status"] == "open":
            payment["amount_requested"] = invoice["amount_due"]
            sandbox.save(payment)


def _explain(sandbox: Sandbox, note: Doc, params: Doc) -> None:
    """What is paid already goes back in some way, all of it."""
    for linked in params.get("refunds", ()):
        if "refund" not in linked:
            raise required("refunds[refund]")
        refund = sandbox.named("refund", linked["refund"], "refunds[refund]")
        note["refunds"].append(_link(refund["id"], linked.get("amount_refunded", refund["amount"])))
    explained = sum(
        params.get(name, 0) for name in ("credit_amount", "out_of_band_amount", "refund_amount")
    ) + sum(one["amount_refunded"] for one in note["refunds"])
    if explained != note["post_payment_amount"]:
        raise invalid(
            "The sum of credit amount, refund amount and out of band amount "
            f"({explained}) must equal the post payment amount ({note['post_payment_amount']})."
        )


def _link(refund: str, amount: int) -> Doc:
    return {
        "amount_refunded": amount,
        "payment_record_refund": None,
        "refund": refund,
        "type": "refund",
    }


def _issued(sandbox: Sandbox, invoice: Doc) -> list[Doc]:
    return sandbox.all("credit_note", invoice=invoice["id"], status="issued")


def _charge(sandbox: Sandbox, invoice: Doc) -> Doc:
    intent = payments.intent_of(sandbox, invoice["id"])
    if intent is None or intent["latest_charge"] is None:
        raise wrong_state("This invoice was not paid by a charge that could be refunded.")
    return sandbox.get("charge", intent["latest_charge"])


def _lines(invoice: Doc, params: Doc) -> list[Doc]:
    if "lines" not in params:
        if "amount" not in params:
            raise required("amount")
        return [_line("custom_line_item", None, params["amount"], 1)]
    return [_line_of(invoice, asked) for asked in params["lines"]]


def _line_of(invoice: Doc, asked: Doc) -> Doc:
    if asked["type"] == "custom_line_item":
        if "unit_amount" not in asked:
            raise required("lines[unit_amount]")
        quantity = asked.get("quantity", 1)
        made = _line(asked["type"], asked.get("description"), 0, quantity)
        made["unit_amount"], made["unit_amount_decimal"] = (
            asked["unit_amount"],
            str(asked["unit_amount"]),
        )
        made["amount"] = asked["unit_amount"] * quantity
        return made
    found = [one for one in invoice["lines"]["data"] if one["id"] == asked.get("invoice_line_item")]
    if not found:
        raise invalid("No such line on this invoice.", "lines[invoice_line_item]")
    billed = found[0]
    quantity = asked.get("quantity")
    amount = asked.get("amount")
    if amount is None:
        if quantity is None:
            raise required("lines[amount]")
        amount = amounts.share(billed["amount"], quantity, billed["quantity"] or 1)
    made = _line(asked["type"], billed["description"], amount, quantity)
    off = sum(one["amount"] for one in billed["discount_amounts"])
    made["discount_amount"] = amounts.share(off, amount, billed["amount"])
    made["invoice_line_item"] = billed["id"]
    return made


def _line(kind: str, description: str | None, amount: int, quantity: int | None) -> Doc:
    return {
        "id": ids.new("cnli"),
        "object": "credit_note_line_item",
        "amount": amount,
        "description": description,
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "quantity": quantity,
        "tax_rates": [],
        "taxes": [],
        "type": kind,
        "unit_amount": None,
        "unit_amount_decimal": None,
    }


def _blank(sandbox: Sandbox, invoice: Doc, params: Doc) -> Doc:
    note_id = ids.new("cn")
    now = sandbox.now()
    count = len(sandbox.all("credit_note", invoice=invoice["id"])) + 1
    return {
        "id": note_id,
        "object": "credit_note",
        "amount_shipping": 0,
        "created": now,
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amounts": [],
        "effective_at": params.get("effective_at", now),
        "invoice": invoice["id"],
        "lines": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/credit_notes/{note_id}/lines",
        },
        "livemode": False,
        "memo": params.get("memo"),
        "metadata": merged({}, params.get("metadata")),
        "number": f"{invoice['number']}-CN-{count:02d}",
        "out_of_band_amount": params.get("out_of_band_amount"),
        "pdf": f"{sandbox.config.base_url}/i/{invoice['id']}/pdf",
        "pretax_credit_amounts": [],
        "reason": params.get("reason"),
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "total_taxes": [],
        "voided_at": None,
    }
