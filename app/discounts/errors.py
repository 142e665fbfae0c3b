"""Why a code does not work. `validate` answers the same codes as a reason."""

from app.kernel.errors import Conflict, Malformed, NotFound, Refused


class PromoCodeNotFound(NotFound):
    """There is no such promo code."""

    code = "promo_code_not_found"


class PromoCodeTaken(Conflict):
    """There is a promo code of this name already."""

    code = "promo_code_taken"


class RedemptionUnnamed(Malformed):
    """Send an Idempotency-Key or a checkout_id, so that a repeat is not a second use."""

    code = "redemption_unnamed"


class CodeRefused(Refused):
    """This code does not apply."""

    code = "promo_code_refused"


class CodeUnknown(CodeRefused):
    """There is no such code."""

    code = "promo_code_unknown"


class CodeInactive(CodeRefused):
    """This code is switched off."""

    code = "promo_code_inactive"


class CodeNotYetValid(CodeRefused):
    """This code does not hold yet."""

    code = "promo_code_not_yet_valid"


class CodeExpired(CodeRefused):
    """This code has expired."""

    code = "promo_code_expired"


class CodeUsedUp(CodeRefused):
    """This code has been used as often as it may be."""

    code = "promo_code_used_up"


class CodeUsedHere(CodeRefused):
    """Your organization has used this code as often as it may."""

    code = "promo_code_used_before"


class CodeNotForPlan(CodeRefused):
    """This code is not for the plan {plan}."""

    code = "promo_code_not_for_plan"


class CodeWantsMore(CodeRefused):
    """This code is for purchases of at least {minimum_amount} {currency} (minor units)."""

    code = "promo_code_minimum"
    shown = ("minimum_amount", "currency")


class CodeOtherCurrency(CodeRefused):
    """This code takes off {currency}; the purchase is in another currency."""

    code = "promo_code_currency"
    shown = ("currency",)
