"""Cards that end soon, so that a renewal does not fail for a date that everybody could read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.subscriptions.domain import PaymentMethod
from app.subscriptions.events import PaymentMethodExpiring
from app.subscriptions.repository import SubscriptionRepository
from app.subscriptions.service.reading import SubscriptionService

LOOK_JOB = "subscriptions.look_at_cards_of"
SOON = timedelta(days=31)
"""A month of 31 days has its last second more than thirty days after the first morning."""
_DECEMBER = 12


class ExpiringCards:
    """Looks at the saved cards of whoever pays, and announces those that end."""

    def __init__(
        self,
        work: UnitOfWork,
        subscriptions: SubscriptionRepository,
        reading: SubscriptionService,
        clock: Clock,
    ) -> None:
        self._work = work
        self._subscriptions = subscriptions
        self._reading = reading
        self._clock = clock

    async def look_at_all(self) -> int:
        """Ask for a look at every paying organization, each in a job of its own; says how many."""
        async with self._work.begin_platform():
            paying = await self._subscriptions.list_paying_for_platform()
            for organization_id in paying:
                self._work.enqueue(
                    LOOK_JOB,
                    {"organization_id": organization_id},
                    dedupe_key=f"{LOOK_JOB}:{organization_id}",
                )
        return len(paying)

    async def look_at(self, organization_id: OrganizationId) -> None:
        """Announce the card that will be charged if it ends within a month; once per expiry."""
        now = self._clock.now()
        ending = [
            method
            for method in _charged(await self._reading.payment_methods(organization_id))
            if method.card is not None
            and ends_at(method.card.exp_year, method.card.exp_month) <= now + SOON
        ]
        async with self._work.begin(organization_id):
            for method in ending:
                await self._announce(organization_id, method, now)

    async def _announce(
        self, organization_id: OrganizationId, method: PaymentMethod, now: datetime
    ) -> None:
        card = method.card
        if card is None or not await self._subscriptions.note_card(
            organization_id, method.id, card.exp_year, card.exp_month, now
        ):
            return
        self._work.announce(
            PaymentMethodExpiring(
                organization_id, card.brand, card.last4, card.exp_month, card.exp_year
            )
        )


def ends_at(year: int, month: int) -> datetime:
    """The end of the month that is printed on a card."""
    return datetime(year + month // _DECEMBER, month % _DECEMBER + 1, 1, tzinfo=UTC)


def _charged(methods: Sequence[PaymentMethod]) -> list[PaymentMethod]:
    """The method that renewals are taken from; all, where none is said to be it."""
    return [method for method in methods if method.is_default] or list(methods)
