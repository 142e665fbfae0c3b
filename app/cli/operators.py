"""`create-operator`: a person who may run the platform."""

from __future__ import annotations

import asyncio

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from app.auth.service import Operators
from app.cli.database import database
from app.infra.db.migrate import upgrade_now
from app.infra.settings import Settings
from app.infra.telemetry.logging import configure_logging
from app.users.service import UserService
from app.wiring import build_services


def create_operator(settings: Settings, email: str, password: str) -> bool:
    """See to it that *email* is an operator; False if the account there has another password."""
    configure_logging("error", json=False)
    with database(settings) as url:
        upgrade_now(url)
        used = settings.model_copy(update={"database_url": SecretStr(url)})
        return asyncio.run(_appoint(used, email, password))


async def _appoint(settings: Settings, email: str, password: str) -> bool:
    services = build_services(settings)
    try:
        await services[Operators].bootstrap(email, password)
        person = await services[UserService].find_by_email(email)
    finally:
        await services[AsyncEngine].dispose()
    return person is not None and person.is_operator
