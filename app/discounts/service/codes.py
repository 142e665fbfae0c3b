"""Codes as operators keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from app.audit.service import AuditLog
from app.discounts import domain
from app.discounts.domain import Terms
from app.discounts.errors import PromoCodeTaken
from app.discounts.models import PromoCode
from app.discounts.repository import PromoCodeRepository, key_of
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import encode_id, new_id
from app.kernel.pages import Page, PageRequest

SYNC_JOB = "discounts.tell_stripe"


class PromoCodeService:
    """A code's terms never change: whoever typed it was promised them. It can be switched off."""

    def __init__(
        self, work: UnitOfWork, codes: PromoCodeRepository, audit: AuditLog, clock: Clock
    ) -> None:
        self._work = work
        self._codes = codes
        self._audit = audit
        self._clock = clock

    async def create(self, code: str, terms: Terms, *, actor: str) -> domain.PromoCode:
        """Make a code. Raises `PromoCodeTaken`, without regard to case."""
        row = PromoCode(
            id=new_id(),
            code=code,
            code_key=key_of(code),
            uses=0,
            is_active=True,
            created_at=self._clock.now(),
            created_by=actor,
            **_columns(terms),
        )
        try:
            async with self._work.begin_platform():
                if await self._codes.find(code) is not None:
                    raise PromoCodeTaken
                await self._codes.add(row)
                self._audit.record(
                    "promo_codes.created",
                    encode_id("prm", row.id),
                    organization_id=None,
                    after={"code": code, **_shown(terms)},
                    actor=actor,
                )
                self._work.enqueue(SYNC_JOB, {}, dedupe_key=SYNC_JOB)
                return row.to_domain()
        except IntegrityError as error:
            # Somebody made the same code at the same moment.
            raise PromoCodeTaken from error

    async def list(self, request: PageRequest) -> Page[domain.PromoCode]:
        """Every code, the latest first."""
        async with self._work.begin_platform():
            page = await self._codes.list_all(request)
            return page.map(lambda row: row.to_domain())

    async def get(self, code_id: UUID) -> domain.PromoCode:
        """Raises `PromoCodeNotFound`."""
        async with self._work.begin_platform():
            return (await self._codes.get(code_id)).to_domain()

    async def switch(self, code_id: UUID, *, is_active: bool, actor: str) -> domain.PromoCode:
        """Let a code be used, or no longer. Uses that were made stay. Raises `PromoCodeNotFound`."""
        async with self._work.begin_platform():
            row = await self._codes.claim(code_id)
            if row.is_active != is_active:
                row.is_active = is_active
                self._audit.record(
                    "promo_codes.switched_on" if is_active else "promo_codes.switched_off",
                    encode_id("prm", row.id),
                    organization_id=None,
                    before={"is_active": not is_active},
                    after={"is_active": is_active},
                    actor=actor,
                )
                self._work.enqueue(SYNC_JOB, {}, dedupe_key=SYNC_JOB)
            return row.to_domain()


def _columns(terms: Terms) -> Mapping[str, Any]:
    return {
        "description": terms.description,
        "percent": terms.percent,
        "amount": terms.fixed.minor if terms.fixed else None,
        "currency": str(terms.fixed.currency) if terms.fixed else None,
        "max_uses": terms.max_uses,
        "max_uses_per_org": terms.max_uses_per_org,
        "starts_at": terms.starts_at,
        "expires_at": terms.expires_at,
        "plans": sorted(terms.plans),
        "minimum_amount": terms.minimum.minor if terms.minimum else None,
        "minimum_currency": str(terms.minimum.currency) if terms.minimum else None,
        "periods": terms.periods,
    }


def _shown(terms: Terms) -> Mapping[str, object]:
    return {name: value for name, value in _columns(terms).items() if value not in (None, [])}
