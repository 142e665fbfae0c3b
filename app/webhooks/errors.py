"""What is not let into the inbox, and why."""

from app.kernel.errors import NotFound, Unavailable, Unreadable


class SignatureRefused(Unreadable):
    """The Stripe-Signature header does not vouch for this body."""

    code = "invalid_signature"


class EventMalformed(Unreadable):
    """The body is signed but is not a Stripe event."""

    code = "invalid_event"


class WebhooksNotConfigured(Unavailable):
    """Webhooks are not set up on this installation: STRIPE_WEBHOOK_SECRET is not set."""

    code = "webhook_secret_missing"


class UnknownEvent(NotFound):
    """No event with that id was received."""

    code = "unknown_event"
