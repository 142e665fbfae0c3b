"""What time does to credit: it lapses, and people are told before."""

from __future__ import annotations

from app.credits.domain import EXPIRING_SOON
from app.credits.events import CreditExpiring
from app.credits.repository import CreditRepository
from app.credits.service.ledger import CreditLedger
from app.infra.db.unit_of_work import UnitOfWork
from app.kernel.clock import Clock

_AT_ONCE = 500


class Lapsing:
    """Sweeps over all organizations; each account is a unit of its own."""

    def __init__(
        self, work: UnitOfWork, repository: CreditRepository, ledger: CreditLedger, clock: Clock
    ) -> None:
        self._work = work
        self._credits = repository
        self._ledger = ledger
        self._clock = clock

    async def let_lapse(self) -> int:
        """Write down every grant that has come to its end; answers how many accounts had one."""
        done = 0
        while True:
            async with self._work.begin_platform():
                due = await self._credits.accounts_with_lapsed_due(self._clock.now(), _AT_ONCE)
            for organization_id, currency in due:
                await self._ledger.bring_up(organization_id, currency)
            done += len(due)
            if len(due) < _AT_ONCE:
                return done

    async def warn(self) -> int:
        """Announce each grant that lapses soon with something left, once; answers how many."""
        now = self._clock.now()
        done = 0
        while True:
            async with self._work.begin_platform():
                due = await self._credits.unwarned_due(now, now + EXPIRING_SOON, _AT_ONCE)
            for organization_id, grant_id in due:
                async with self._work.begin(organization_id):
                    grant = await self._credits.lock_grant(organization_id, grant_id)
                    if grant is None or grant.warned_at is not None or grant.expires_at is None:
                        continue
                    grant.warned_at = now
                    self._work.announce(
                        CreditExpiring(
                            organization_id,
                            grant_id,
                            grant.remaining,
                            grant.currency,
                            grant.expires_at,
                        )
                    )
                    done += 1
            if len(due) < _AT_ONCE:
                return done
