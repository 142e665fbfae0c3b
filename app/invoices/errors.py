"""What `invoices` refuses."""

from app.kernel.errors import Conflict, Malformed, NotFound


class InvoiceNotFound(NotFound):
    """There is no such invoice."""

    code = "invoice_not_found"


class CreditNoteNotFound(NotFound):
    """There is no such credit note."""

    code = "credit_note_not_found"


class NoRefundPromised(Conflict):
    """Of this credit note no refund waits to be sent by hand: it is {refund}."""

    code = "no_refund_waits"
    shown = ("refund",)


class PeriodBackwards(Malformed):
    """The period ends before it begins."""

    code = "period_is_backwards"


class WindowIssued(Conflict):
    """That window has been billed: see the invoice. Late usage stands on the next one."""

    code = "window_already_billed"
    shown = ("invoice",)


class InvoiceNotIssued(Conflict):
    """The invoice is {status}; that can be done to an issued one only."""

    code = "invoice_not_issued"
    shown = ("status",)


class ProofIsStripes(Conflict):
    """Stripe issued that invoice and worked it out; there is no proof of ours for it."""

    code = "proof_is_stripes"


class ProofNotKept(NotFound):
    """That invoice was issued before proofs were kept."""

    code = "proof_not_kept"


class InvoiceNotPaid(Conflict):
    """The invoice is {status}; there is a receipt once it is paid."""

    code = "invoice_not_paid"
    shown = ("status",)


class InvoiceIsStripes(Conflict):
    """Stripe issued that invoice, and it is finalized, voided, marked as paid or credited there. To
    give money back of it, send its invoice_id to POST /api/v1/admin/refunds."""

    code = "invoice_is_stripes"


class InvoiceAlreadyPaid(Conflict):
    """The invoice is paid already, and not by this payment: nothing was noted. Money that came
    twice is sent back, or given as credit (POST /api/v1/admin/credits/grants)."""

    code = "invoice_already_paid"


class PaymentNoted(Conflict):
    """A transfer of that amount and reference was noted already, received {received_at}. If this is
    another one, say when it was received, or give it a reference of its own."""

    code = "payment_already_noted"
    shown = ("received_at",)


class PaymentNotYetReceived(Malformed):
    """The payment is said to be received in the future."""

    code = "payment_in_the_future"


class WindowNotBegun(Malformed):
    """That window begins on {begins}; its invoice stays a draft until then."""

    code = "window_not_begun"
    shown = ("begins",)


class InvoiceSettled(Conflict):
    """The invoice is {status} and was paid or credited, at least in part: it cannot be voided any
    more."""

    code = "invoice_settled"
    shown = ("status",)


class PaymentMismatch(Malformed):
    """The invoice asks for {due}, and {amount} came; send both as they are."""

    code = "payment_mismatch"
    shown = ("due", "amount")


class CreditTooLarge(Conflict):
    """Credit notes never exceed their invoice: {left} can still be taken back."""

    code = "credit_exceeds_invoice"
    shown = ("left",)


class NothingToCredit(Malformed):
    """Nothing is left to take back of these lines: name lines of the invoice, each with an amount of
    one or more."""

    code = "nothing_to_credit"


class NotYetIssuable(Conflict):
    """Usage at cost is in US dollars, and this catalog sells in another currency: give the plan's
    token metrics a price."""

    code = "costs_in_another_currency"


class PlanCannotBeRated(Conflict):
    """The plan {plan}, as it was bought, includes units of {metric} and has prices of it by model
    or token role, and does not say whose units are free: move the organization to a plan or a
    catalog version that does."""

    code = "plan_cannot_be_rated"
    shown = ("plan", "metric", "catalog_version")


class VatIdInvalid(Malformed):
    """That is no VAT number of the EU: its form or check digits are wrong."""

    code = "vat_id_invalid"


class EInvoiceIncomplete(Conflict):
    """An electronic invoice needs more than is known: {named}. Settings are the seller's; billing
    details hold for invoices issued after they were given."""

    code = "einvoice_incomplete"
    shown = ("missing",)


class EInvoiceUnfit(Conflict):
    """There is no electronic form of that invoice: {why}."""

    code = "einvoice_unfit"
