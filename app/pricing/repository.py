"""Prices in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from app.infra.db.repository import Repository
from app.kernel.ids import OrganizationId, new_id
from app.pricing.domain import Markup, PriceRow, TokenRole
from app.pricing.models import (
    LlmModelAlias,
    LlmPrice,
    LlmPriceMarkup,
    LlmPriceOverride,
    PriceBookState,
)

Line = tuple[str, str, TokenRole, Decimal]
"""Provider, model, role, price per million."""


class PriceRepository(Repository):
    """The book, its aliases and its version: tables of nobody's. Overrides are read all at once."""

    platform = True

    async def version(self) -> int:
        return await self.session.scalar(select(PriceBookState.version)) or 0

    async def raise_version(self) -> int:
        """Count the book's version up; a second writer waits here for the first."""
        statement = (
            insert(PriceBookState)
            .values(id=1, version=1)
            .on_conflict_do_update(
                index_elements=[PriceBookState.id],
                set_={"version": PriceBookState.version + 1},
            )
            .returning(PriceBookState.version)
        )
        return (await self.session.execute(statement)).scalar_one()

    async def list_rows(self) -> list[PriceRow]:
        """Every price: the platform's and all organizations' own."""
        platform = (await self.session.scalars(select(LlmPrice))).all()
        own = (await self.session.scalars(select(LlmPriceOverride))).all()
        return [
            *(_row(price, None) for price in platform),
            *(_row(price, OrganizationId(price.organization_id)) for price in own),
        ]

    async def list_aliases(self) -> dict[tuple[str, str], str]:
        found = (await self.session.scalars(select(LlmModelAlias))).all()
        return {(alias.provider, alias.alias): alias.model for alias in found}

    async def list_markups(self) -> list[Markup]:
        """Every organization's markups."""
        found = (await self.session.scalars(select(LlmPriceMarkup))).all()
        return [
            Markup(
                id=markup.id,
                organization_id=OrganizationId(markup.organization_id),
                provider=markup.provider,
                model=markup.model,
                percent=markup.percent.normalize(),
                effective_from=markup.effective_from,
            )
            for markup in found
        ]

    def add_markup(self, markup: Markup, created_at: datetime) -> None:
        self.session.add(LlmPriceMarkup(**asdict(markup), created_at=created_at))

    async def set_alias(self, provider: str, alias: str, model: str) -> None:
        """Make *alias* another name of *model*, whatever it was before."""
        statement = insert(LlmModelAlias).values(provider=provider, alias=alias, model=model)
        await self.session.execute(
            statement.on_conflict_do_update(
                index_elements=[LlmModelAlias.provider, LlmModelAlias.alias],
                set_={"model": model},
            )
        )

    def add(self, row: PriceRow, created_at: datetime) -> None:
        values = {
            "id": row.id,
            "provider": row.provider,
            "model": row.model,
            "role": row.role.value,
            "per_million": row.per_million,
            "effective_from": row.effective_from,
            "created_at": created_at,
        }
        if row.organization_id is None:
            self.session.add(LlmPrice(**values))
        else:
            self.session.add(LlmPriceOverride(organization_id=row.organization_id, **values))

    async def seed(
        self,
        lines: Sequence[Line],
        aliases: Sequence[tuple[str, str, str]],
        effective_from: datetime,
        created_at: datetime,
    ) -> bool:
        """Add what is missing of *lines* and *aliases*; says whether anything was."""
        # Two processes start at once: the second waits here and then finds everything in place.
        await self.session.execute(text("select pg_advisory_xact_lock(727002)"))
        prices = await self.session.execute(
            insert(LlmPrice)
            .values(
                [
                    {
                        "id": new_id(),
                        "provider": provider,
                        "model": model,
                        "role": role.value,
                        "per_million": price,
                        "effective_from": effective_from,
                        "created_at": created_at,
                    }
                    for provider, model, role, price in lines
                ]
            )
            .on_conflict_do_nothing()
            .returning(LlmPrice.id)
        )
        names = await self.session.execute(
            insert(LlmModelAlias)
            .values(
                [
                    {"provider": provider, "alias": alias, "model": model}
                    for provider, alias, model in aliases
                ]
            )
            .on_conflict_do_nothing()
            .returning(LlmModelAlias.alias)
        )
        return bool(prices.all()) or bool(names.all())


def _row(price: LlmPrice | LlmPriceOverride, organization_id: OrganizationId | None) -> PriceRow:
    return PriceRow(
        id=price.id,
        provider=price.provider,
        model=price.model,
        role=TokenRole(price.role),
        per_million=price.per_million.normalize(),
        effective_from=price.effective_from,
        organization_id=organization_id,
    )
