"""What the account's owner has chosen in the dashboard, for all subscriptions."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from app.sandbox.core.params import Doc, Fields, Flag, Many, Whole, one_of
from app.sandbox.core.sandbox import Sandbox

FATES = ("cancel", "unpaid", "past_due", "pause")
CHANGES = Fields(
    {
        "after_retries": one_of(*FATES),
        "payment_retry_days": Many(Whole(least=1, most=60), most=8),
        "pause_on_first_failure": Flag(),
        "cancel_on_dispute": Flag(),
        "delayed_days": Whole(most=14),
        "upcoming_days": Whole(least=1, most=45),
        "overdue_days": Whole(least=1, most=90),
    }
)
_NAME = "account"


@dataclass(frozen=True)
class Settings:
    after_retries: str
    """What becomes of a subscription when every attempt to collect its renewal has failed."""
    payment_retry_days: tuple[int, ...]
    """Days between the attempts."""
    pause_on_first_failure: bool = False
    """Whether a renewal that fails once pauses the subscription, before any retry."""
    cancel_on_dispute: bool = False
    """Whether a disputed payment ends the subscription it paid for."""
    delayed_days: int = 3
    """How long a bank debit takes to succeed or fail."""
    upcoming_days: int = 7
    """How long before a renewal its invoice is announced."""
    overdue_days: int = 30
    """How long a sent invoice may be overdue before `after_retries` applies."""


def of(sandbox: Sandbox) -> Settings:
    chosen: dict[str, Any] = {
        "after_retries": sandbox.config.after_retries,
        "payment_retry_days": sandbox.config.payment_retry_days,
        **json.loads(sandbox.store.setting(_NAME) or "{}"),
    }
    chosen["payment_retry_days"] = tuple(chosen["payment_retry_days"])
    return Settings(**chosen)


def change(sandbox: Sandbox, sent: Doc) -> Settings:
    """Choose anew; what is not mentioned stays."""
    chosen = {**json.loads(sandbox.store.setting(_NAME) or "{}"), **sent}
    sandbox.store.set(_NAME, json.dumps(chosen))
    return of(sandbox)


def shown(settings: Settings) -> Doc:
    return {**asdict(settings), "payment_retry_days": list(settings.payment_retry_days)}
