"""Stripe's test cards, and what each of them does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    brand: str
    last4: str
    attaches: bool = True
    decline_code: str | None = None
    """The reason every charge is declined with, for a card that declines."""


_VISA = Card("visa", "4242")
_DECLINED = Card("visa", "0002", attaches=False, decline_code="generic_decline")
_CHARGES_FAIL = Card("visa", "0341", decline_code="generic_decline")
_NO_FUNDS = Card("visa", "9995", attaches=False, decline_code="insufficient_funds")

CARDS = {
    "visa": _VISA,
    "visa_debit": Card("visa", "5556"),
    "mastercard": Card("mastercard", "4444"),
    "refundFail": Card("visa", "5126"),
    "pendingRefund": Card("visa", "7726"),
    "amex": Card("amex", "8431"),
    "chargeDeclined": _DECLINED,
    "visa_chargeDeclined": _DECLINED,
    "chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "visa_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "chargeCustomerFail": _CHARGES_FAIL,
}
NUMBERS = {
    "4242424242424242": "visa",
    "4000056655665556": "visa_debit",
    "5555555555554444": "mastercard",
    "4000000000005126": "refundFail",
    "4000000000007726": "pendingRefund",
    "371449635398431": "amex",
    "4000000000000002": "chargeDeclined",
    "4000000000009995": "chargeDeclinedInsufficientFunds",
    "4000000000000341": "chargeCustomerFail",
}
MESSAGES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
}
