"""`import-people`: accounts of the predecessor, with the hashes they have."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.cli.database import database
from app.infra.db.migrate import upgrade_now
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.kernel.errors import BillingError
from app.users.errors import EmailTaken
from app.users.service import UserService
from app.wiring import build_services

_FIELDS = ("email", "name", "password_hash")


@dataclass
class Outcome:
    """What became of the lines."""

    imported: int = 0
    known: int = 0
    refused: list[str] = field(default_factory=list)


def import_people(settings: Settings, lines: Iterable[str]) -> Outcome:
    """Open an account for each line, a JSON object with `email`, `name` and `password_hash`.

    An address that has an account already is left alone, so a second run changes nothing. A line
    that cannot be used is reported by its number, and the others go on.
    """
    configure_logging("error", json=False)
    with database(settings) as url:
        upgrade_now(url)
        used = settings.model_copy(update={"database_url": SecretStr(url)})
        return asyncio.run(_import(used, lines))


async def _import(settings: Settings, lines: Iterable[str]) -> Outcome:
    services = build_services(settings)
    users = services[UserService]
    outcome = Outcome()
    try:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                email, name, stored = _read(line)
                await users.import_person(email, name, stored)
                outcome.imported += 1
            except EmailTaken:
                outcome.known += 1
            except (ValueError, BillingError) as error:
                # The line stays out of it: it holds a hash.
                outcome.refused.append(f"line {number}: {error}")
    finally:
        await services[AsyncEngine].dispose()
    return outcome


def _read(line: str) -> tuple[str, str, str]:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        raise ValueError("not a JSON object") from None
    values = [found.get(name) for name in _FIELDS] if isinstance(found, dict) else []
    texts = [value for value in values if isinstance(value, str) and value]
    if len(texts) != len(_FIELDS):
        raise ValueError(f"an object with {', '.join(_FIELDS)}")
    email, name, stored = texts
    return email, name, stored
