"""How a sandbox is set up."""

from dataclasses import dataclass

API_VERSION = "2026-10-28.endive"
DAY = 86_400


@dataclass(frozen=True)
class SandboxConfig:
    """Everything that can be chosen before a sandbox starts."""

    secret_key: str = "sk_test_sandbox"  # noqa: S105 - opens nothing but this server
    """The one key that is accepted; anything but a test key is refused at start."""
    database: str = ":memory:"
    base_url: str = "http://127.0.0.1:12111"
    """Where browsers and clients reach this server; hosted pages are linked with it."""
    delivery_delays: tuple[float, ...] = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
    """Seconds between the attempts to deliver one event; after the last one it has failed."""
    payment_retry_days: tuple[int, ...] = (3, 5, 7)
    """Days between the attempts to collect an invoice that could not be paid."""
    after_retries: str = "cancel"
    """What becomes of a subscription that stays unpaid, until `/_sandbox/settings` says else."""

    def __post_init__(self) -> None:
        if not self.secret_key.startswith("sk_test_"):
            raise ValueError(
                "the sandbox takes test keys only: the secret key starts with sk_test_"
            )
        if self.after_retries not in ("cancel", "unpaid", "past_due", "pause"):
            raise ValueError("after_retries is one of cancel, unpaid, past_due, pause")
