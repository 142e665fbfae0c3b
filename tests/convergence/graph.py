"""Every state that news can lead to, each step between two of them made once, on real Postgres.

Thousands of orders lead through the same few hundred states. A step is what one handling of one
event writes: it depends on what is stored, on what Stripe answered, and on which stored answers
are older than the question. So it is made once, by the real handler, and then known; an order of
events is a walk over steps that were all made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from uuid import UUID

from app.infra.db.unit_of_work import UnitOfWork
from app.infra.jobs.queue import NewJob
from app.kernel.facts import Fact
from app.payments.service import PaymentReports
from app.subscriptions.service import SubscriptionMirror
from app.webhooks.domain import EventState
from app.webhooks.service.inbox import StripeInbox
from tests.convergence.history import StagedStripe, Told
from tests.convergence.rows import STEP, Rows, Stored
from tests.support.service import Service

Announced = tuple[str, ...]
TELLING = frozenset(
    {
        "invoice.payment_failed",
        "invoice.payment_action_required",
        "invoice.upcoming",
        "customer.subscription.trial_will_end",
        "checkout.session.async_payment_failed",
    }
)
"""Events whose kind and time are news, beside the object they are about."""
FLAPPING = frozenset(
    {
        "SubscriptionChanged",
        "QuotaWindowChanged",
        "DisputeOpened",
        "DisputeClosed",
        "RefundMade",
        "RefundFailed",
    }
)
"""Facts that say that something differs; how often depends on what was seen in between. Notices
of a refund or a dispute are once for it by their own key (`notifications.kinds`)."""


@dataclass(frozen=True)
class Step:
    """Where a handling leads, what it announces, and whose tickets the rows bear afterwards."""

    to: int
    announced: Announced
    tickets_of: tuple[int | None, ...]
    """For each ticket of the new state its place in the old one; None for the step's own."""


@dataclass
class Graph:
    """States by number; steps are made when they are first asked for."""

    service: Service
    stripe: StagedStripe
    rows: Rows
    states: list[Stored] = field(default_factory=list)
    made: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _steps: dict[tuple[int, object, tuple[int, ...], int], Step] = field(default_factory=dict)
    heard: list[Fact] = field(default_factory=list)

    def listen(self) -> None:
        """Hear of facts instead of letting jobs follow from them."""

        def hear(facts: Sequence[Fact]) -> Sequence[NewJob]:
            self.heard.extend(facts)
            return ()

        self.service.services[UnitOfWork]._followers = hear

    def heard_once(self) -> list[Fact]:
        """What was announced of the kind that may be announced once for its cause."""
        return [fact for fact in self.heard if type(fact).__name__ not in FLAPPING]

    async def here(self) -> int:
        """The number of the state that is stored now."""
        return self.number(await self.rows.take())

    def number(self, stored: Stored) -> int:
        """The number of a state, a new one if it has not been seen."""
        number = self._numbers.get(stored.key)
        if number is None:
            number = self._numbers[stored.key] = len(self.states)
            self.states.append(stored)
        return number

    async def step(
        self, state: int, event: Told, asked_at: tuple[int, ...], place: int | None = None
    ) -> Step:
        """Handle *event*, asked about at these stages, by a ticket that is newer than the first
        *place* tickets of the state; by one that is newer than all if none is given."""
        tickets = self.states[state].tickets
        place = len(tickets) if place is None else place
        key = (state, self._question(event), asked_at, place)
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = await self._make(state, event, asked_at, place)
        return found

    def _question(self, event: Told) -> object:
        """Events whose handling cannot differ: the same handler, about the same object."""
        kind = event.kind.removeprefix("v1.")
        handler = self.service.services[StripeInbox]._handlers.get(kind)
        if handler is None:
            return None
        name = getattr(handler, "__name__", "")
        return (name, event.object_id, (kind, event.at) if kind in TELLING else name)

    async def _make(self, state: int, event: Told, asked_at: tuple[int, ...], place: int) -> Step:
        self.made += 1
        await self.rows.put(self.states[state])
        self.stripe.at(*asked_at)
        own = place * STEP + STEP // 2
        mirror = self.service.services[SubscriptionMirror]

        async def ticket() -> int:
            return own

        mirror.take_ticket = ticket  # type: ignore[method-assign]
        charges = self.service.services[PaymentReports]._payments
        charges.take_ticket_for_platform = ticket  # type: ignore[method-assign]
        self.heard.clear()
        inbox = self.service.services[StripeInbox]
        try:
            apply = await inbox._prepare(event.pending())
            async with self.service.work.begin_platform():
                outcome = await apply()
        finally:
            del mirror.take_ticket
            del charges.take_ticket_for_platform
        assert outcome.state in {EventState.HANDLED, EventState.IGNORED}
        stored = await self.rows.take()
        names = stored.names()
        announced = tuple(sorted(named(fact, names) for fact in self.heard_once()))
        came_from = tuple(
            None if ticket == own else ticket // STEP - 1 for ticket in stored.tickets
        )
        return Step(self.number(stored), announced, came_from)


ONCE_FOR: Mapping[str, tuple[str, ...]] = {
    "InvoiceIssued": ("invoice_id",),
    "InvoicePaid": ("invoice_id",),
    "QuotaWindowOpened": ("subscription_id", "starts_at"),
    "PaymentFailed": ("stripe_invoice_id", "attempt"),
    "PaymentActionRequired": ("stripe_invoice_id",),
    "PaymentRecovered": ("stripe_invoice_id",),
    "TrialEnding": ("subscription_id", "trial_end"),
}
"""The cause for which each is announced once: a receipt per invoice, a notice per attempt. Any
other is once for its whole content."""


def named(fact: Fact, names: Mapping[str, str]) -> str:
    """A fact by its cause, with what Stripe calls the rows it is about."""
    kind = type(fact).__name__
    all_fields = [each.name for each in fields(fact) if each.name != "organization_id"]
    said = [getattr(fact, name) for name in ONCE_FOR.get(kind, all_fields)]
    content = [names.get(str(one), "?") if isinstance(one, UUID) else str(one) for one in said]
    return f"{kind}({', '.join(content)})"
