"""Money in whole minor units, rounded half away from zero and only once."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from app.sandbox.core.params import Doc

_ZERO_DECIMAL = {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf"}
_THREE_DECIMAL = {"bhd", "jod", "kwd", "omr", "tnd"}


def whole(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))


def of_price(price: Doc, quantity: int | Decimal) -> int:
    """What a quantity of something costs, flat or in tiers."""
    units = Decimal(quantity)
    if transform := price["transform_quantity"]:
        rounding = ROUND_CEILING if transform["round"] == "up" else ROUND_FLOOR
        units = (units / transform["divide_by"]).to_integral_value(rounding)
    if price["billing_scheme"] == "tiered":
        return whole(_of_tiers(price["_tiers"], units, price["tiers_mode"] == "volume"))
    return whole(Decimal(price["unit_amount_decimal"] or 0) * units)


def _of_tiers(tiers: list[Doc], units: Decimal, volume: bool) -> Decimal:
    total, below = Decimal(0), Decimal(0)
    for tier in tiers:
        end = None if tier["up_to"] is None else Decimal(tier["up_to"])
        is_last = end is None or units <= end
        inside = units - below if is_last or end is None else end - below
        cost = Decimal(tier["unit_amount_decimal"] or 0) * (units if volume else inside)
        cost += Decimal(tier["flat_amount_decimal"] or 0)
        if is_last and volume:
            return cost
        # A graduated price has only those steps that something was used of.
        total += cost if inside > 0 or tier is tiers[0] else 0
        if is_last:
            break
        below = end or below
    return total


def share(amount: int, part: int, total: int) -> int:
    """The share of an amount that belongs to *part* of *total* seconds."""
    return whole(Decimal(amount) * part / total) if total else 0


def split(amount: int, weights: list[int]) -> list[int]:
    """Pieces by weight that add up to the amount; what is left over goes to the largest rests."""
    total = sum(weights)
    if not total:
        return [0] * len(weights)
    pieces = [amount * weight // total for weight in weights]
    rests = sorted(range(len(weights)), key=lambda n: (-(amount * weights[n] % total), n))
    for n in rests[: amount - sum(pieces)]:
        pieces[n] += 1
    return pieces


def shown(amount: int | Decimal, currency: str) -> str:
    """An amount of minor units for people: `$49.00`, `12.500 KWD`, `$0.0004`."""
    places = 0 if currency in _ZERO_DECIMAL else 3 if currency in _THREE_DECIMAL else 2
    major = f"{abs(Decimal(amount)).scaleb(-places).normalize():f}"
    decimals = len(major.partition(".")[2])
    number = f"{Decimal(major):,.{max(places, decimals)}f}"
    sign = "-" if amount < 0 else ""
    symbol = {"usd": "$", "eur": "€", "gbp": "£"}.get(currency)
    return f"{sign}{symbol}{number}" if symbol else f"{sign}{number} {currency.upper()}"
