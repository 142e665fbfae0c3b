"""What a person is told once everything answers."""

from __future__ import annotations

import sys

from app.infra.settings import Settings


def banner(settings: Settings, url: str, *, own_secret: bool) -> str:
    """Say where to look, what stands in for something real, and what will not last."""
    mail = settings.smtp_host or f"outbox in {settings.data_dir / 'outbox'} (no server configured)"
    lines = [
        "",
        f"Aragora Billing is ready at {url}",
        "",
        f"  API documents   {url}/docs",
        f"  Database        {_database(settings)}",
        f"  Stripe          {_stripe(settings)}",
        f"  Mail            {mail}",
        f"  Jobs            {_jobs(settings)}",
    ]
    if own_secret:
        lines += [
            "",
            "  ARAGORA_JWT_SECRET is not set: sign-ins and API keys end with this process.",
        ]
    return "\n".join([*lines, ""])


def show_banner(settings: Settings, url: str, *, own_secret: bool) -> None:
    print(banner(settings, url, own_secret=own_secret), file=sys.stdout, flush=True)


def _database(settings: Settings) -> str:
    if settings.database_embedded:
        return f"embedded PostgreSQL, data in {settings.data_dir / 'postgres'}"
    return "PostgreSQL of DATABASE_URL"


def _stripe(settings: Settings) -> str:
    if not settings.stripe_configured:
        return "not configured: paid plans cannot be bought"
    if settings.stripe_api_base is not None:
        return f"sandbox at {settings.stripe_api_base} (no real money; card 4242 4242 4242 4242)"
    return "live" if settings.livemode else "test mode"


def _jobs(settings: Settings) -> str:
    return "in the API processes" if settings.inline_worker else "in separate workers"
