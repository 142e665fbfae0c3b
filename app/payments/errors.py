"""What cannot be refunded, and why."""

from app.kernel.errors import Conflict, NotFound, Refused


class ChargeNotFound(NotFound):
    """There is no such charge of any organization."""

    code = "charge_not_found"


class RefundNotFound(NotFound):
    """There is no such refund."""

    code = "refund_not_found"


class InvoiceWithoutCharge(Refused):
    """This invoice was not paid through Stripe, so there is no payment to give back."""

    code = "invoice_without_charge"


class InvoicePaidInParts(Refused):
    """Several payments paid this invoice; name the charge to refund."""

    code = "invoice_paid_in_parts"
    shown = ("charges",)


class ChargeNotPaid(Refused):
    """This charge took no money, so there is none to give back."""

    code = "charge_not_paid"


class ChargeDisputed(Conflict):
    """The customer's bank disputes this charge; the dispute decides who gets the money."""

    code = "charge_disputed"


class RefundTooLarge(Refused):
    """Of this charge no more than {refundable} can go back."""

    code = "refund_too_large"
    shown = ("refundable", "currency")


class AlreadyRefunded(Conflict):
    """All of this charge has gone back, or is on its way."""

    code = "already_refunded"


class RefundRefused(Refused):
    """The payment provider refused this refund; no money has moved."""

    code = "refund_refused"
    shown = ("refund_id", "stripe_code", "stripe_message")
