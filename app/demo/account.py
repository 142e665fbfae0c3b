"""The demo's own accounts, one per trace, kept in files: a second run is the same customer."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from app.kernel.clock import Clock


@dataclass(frozen=True, slots=True)
class Account:
    """Who the demo signs in as, and the instant its trace ends at."""

    email: str
    password: str
    ends_at: str

    @property
    def end(self) -> datetime:
        return datetime.fromisoformat(self.ends_at)


def remembered_account(path: Path, clock: Clock) -> Account:
    """The account in *path*, or a new one written there, readable by its owner alone."""
    if path.exists():
        return Account(**json.loads(path.read_text()))
    account = Account(
        email=f"demo-{secrets.token_hex(4)}@example.com",
        password=secrets.token_urlsafe(18),
        ends_at=clock.now().replace(microsecond=0).isoformat(),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(account)))
    return account
