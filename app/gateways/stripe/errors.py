"""What Stripe may answer, in our own kinds."""

from app.kernel.errors import Conflict, NotFound, PaymentRequired, Refused, Unavailable


class StripeNotConfigured(Unavailable):
    """Payments are not set up on this installation: STRIPE_SECRET_KEY is not set. Everything
    that does not need a payment works."""

    code = "stripe_not_configured"

    @property
    def retry_after_seconds(self) -> int:
        # Only a restart with a key changes this.
        return 3600


class StripeUnavailable(Unavailable):
    """The payment provider cannot be reached just now; nothing is lost. Try again shortly."""

    code = "stripe_unavailable"


class StripeMisconfigured(Unavailable):
    """The payment provider refused this installation's credentials; the operator must look."""

    code = "stripe_misconfigured"


class StripeMissing(NotFound):
    """The payment provider knows no such object."""

    code = "stripe_missing"

    @property
    def parameter(self) -> str | None:
        """The parameter that named it, for example `customer`."""
        value = self.context.get("parameter")
        return value if isinstance(value, str) else None


class StripeRefused(Refused):
    """The payment provider refused this change."""

    code = "stripe_refused"

    @property
    def stripe_code(self) -> str | None:
        """Stripe's own word for why, for example `charge_already_refunded`."""
        value = self.context.get("stripe_code")
        return value if isinstance(value, str) else None

    @property
    def reason(self) -> str:
        """Stripe's own sentence; for logs and operators."""
        value = self.context.get("reason")
        return value if isinstance(value, str) else ""


class StripeKeyReused(Conflict):
    """The payment provider has seen this request before with other content."""

    code = "stripe_key_reused"


class CardDeclined(PaymentRequired):
    """The payment was declined; use another payment method."""

    code = "card_declined"
    shown = ("decline_code",)
