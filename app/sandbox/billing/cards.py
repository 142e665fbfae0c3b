"""Stripe's test cards and bank accounts, and what each of them does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    brand: str
    last4: str
    attaches: bool = True
    decline_code: str | None = None
    """The reason every charge is declined with, for a card that declines."""
    authenticates: str = "never"
    """When its holder must confirm a payment: `never`, `always`, only `on_session`, or
    `until_set_up` once for all later payments."""
    disputes: str | None = None
    """Why its holder disputes every payment: a reason, or `inquiry`."""


@dataclass(frozen=True)
class Bank:
    """An account that is debited, which takes days."""

    kind: str
    last4: str
    settles: bool = True


def _declined(last4: str, reason: str = "generic_decline") -> Card:
    return Card("visa", last4, attaches=False, decline_code=reason)


_VISA = Card("visa", "4242")
_DISPUTED = Card("visa", "0259", disputes="fraudulent")

CARDS = {
    "visa": _VISA,
    "us": _VISA,
    "visa_debit": Card("visa", "5556"),
    "mastercard": Card("mastercard", "4444"),
    "refundFail": Card("visa", "5126"),
    "pendingRefund": Card("visa", "7726"),
    "amex": Card("amex", "8431"),
    "chargeDeclined": _declined("0002"),
    "visa_chargeDeclined": _declined("0002"),
    "chargeDeclinedInsufficientFunds": _declined("9995", "insufficient_funds"),
    "visa_chargeDeclinedInsufficientFunds": _declined("9995", "insufficient_funds"),
    "chargeDeclinedExpiredCard": _declined("0069", "expired_card"),
    "chargeDeclinedIncorrectCvc": _declined("0127", "incorrect_cvc"),
    "chargeDeclinedProcessingError": _declined("0119", "processing_error"),
    "chargeDeclinedLostCard": _declined("9987", "lost_card"),
    "chargeCustomerFail": Card("visa", "0341", decline_code="generic_decline"),
    "threeDSecure2Required": Card("visa", "3220", authenticates="always"),
    "threeDSecureRequired": Card("visa", "3063", authenticates="always"),
    "authenticationRequired": Card("visa", "3184", authenticates="always"),
    "authenticationRequiredOnSetup": Card("visa", "3155", authenticates="until_set_up"),
    "authenticationRequiredSetupForOffSession": Card("visa", "0446", authenticates="on_session"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "visa", "3178", decline_code="insufficient_funds", authenticates="always"
    ),
    "createDispute": _DISPUTED,
    "createDisputeProductNotReceived": Card("visa", "2685", disputes="product_not_received"),
    "createDisputeInquiry": Card("visa", "1976", disputes="inquiry"),
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
    "4000000000000069": "chargeDeclinedExpiredCard",
    "4000000000000127": "chargeDeclinedIncorrectCvc",
    "4000000000000119": "chargeDeclinedProcessingError",
    "4000000000009987": "chargeDeclinedLostCard",
    "4000000000000341": "chargeCustomerFail",
    "4000000000003220": "threeDSecure2Required",
    "4000000000003063": "threeDSecureRequired",
    "4000002760003184": "authenticationRequired",
    "4000002500003155": "authenticationRequiredOnSetup",
    "4000003800000446": "authenticationRequiredSetupForOffSession",
    "4000008260003178": "authenticationRequiredChargeDeclinedInsufficientFunds",
    "4000000000000259": "createDispute",
    "4000000000002685": "createDisputeProductNotReceived",
    "4000000000001976": "createDisputeInquiry",
}
BANKS = {
    "ach": Bank("us_bank_account", "6789"),
    "ach_fails": Bank("us_bank_account", "1116", settles=False),
    "sepa": Bank("sepa_debit", "3201"),
    "sepa_fails": Bank("sepa_debit", "3202", settles=False),
}
ACCOUNTS = {
    "000123456789": "ach",
    "000111111116": "ach_fails",
    "AT611904300234573201": "sepa",
    "DE89370400440532013000": "sepa",
    "AT861904300235473202": "sepa_fails",
    "DE62370400440532013001": "sepa_fails",
}
"""Account numbers and IBANs of Stripe's documentation."""
NAMES = {"pm_usBankAccount_success": "ach", "pm_usBankAccount_insufficientFunds": "ach_fails"}
MESSAGES = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
    "lost_card": "Your card was declined.",
}
CODES = {key: key for key in ("expired_card", "incorrect_cvc", "processing_error")}
"""Reasons that are error codes of their own; all others are `card_declined`."""
