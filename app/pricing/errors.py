"""What pricing refuses."""

from app.kernel.errors import Conflict


class PriceExists(Conflict):
    """{provider}/{model} has another price for {role} from that very instant; prices never change,
    a later one follows."""

    code = "price_exists"


class MarkupExists(Conflict):
    """{provider}/{model} has another markup from that very instant; a later one follows."""

    code = "markup_exists"


class PriceNeedsConfirmation(Conflict):
    """{what} is ten times its predecessor or more, or a tenth or less. Send it again with
    confirm: true if that is meant."""

    code = "price_needs_confirmation"
    shown = ("rows",)
