"""What `credits` refuses."""

from app.kernel.errors import Conflict, Malformed, NotFound, PaymentRequired, Refused


class GrantNotFound(NotFound):
    """There is no such grant of credit."""

    code = "credit_grant_not_found"


class GrantOver(Malformed):
    """Credit that expires does so in the future."""

    code = "credit_grant_over"


class TopUpNotFound(NotFound):
    """There is no such top-up."""

    code = "top_up_not_found"


class TopUpUnderway(Conflict):
    """Another purchase of credit waits to be paid: pay it, or cancel it first."""

    code = "top_up_underway"
    shown = ("top_up_id", "pay_url")


class TopUpOver(Conflict):
    """This top-up is paid or void, or its payment is on its way; it cannot be canceled."""

    code = "top_up_over"


class TopUpTooSmall(Refused):
    """The payment provider charges {minimum} {currency} (minor units) at least."""

    code = "top_up_too_small"
    shown = ("minimum", "currency")


class NothingToChargeSaved(PaymentRequired):
    """Topping up by itself needs a saved way to pay: subscribe to a plan, or save one in the
    billing portal."""

    code = "payment_method_required"
