"""What pricing refuses."""

from app.kernel.errors import Conflict


class PriceExists(Conflict):
    """{provider}/{model} has another price for {role} from that very instant; prices never change,
    a later one follows."""

    code = "price_exists"
