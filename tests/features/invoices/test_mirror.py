"""The mirror agrees with Stripe whatever order it is told in, and tells of each change once."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from app.credits.service.top_ups import TopUpDesk
from app.gateways.stripe.gateway import StripeBuyer, StripeInvoice
from app.infra.db.engine import Sessions
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.jobs.queue import JobQueue
from app.invoices.document import Party
from app.invoices.domain import Invoice, InvoiceStatus, NoDiscounts, NoPayments, Progress
from app.invoices.errors import InvoiceNotFound
from app.invoices.events import InvoiceIssued, InvoicePaid
from app.invoices.html import Pages
from app.invoices.models import Invoice as InvoiceRow
from app.invoices.models import InvoiceLine as LineRow
from app.invoices.numbering import InvoiceNumbers
from app.invoices.pdf import Press
from app.invoices.repository.collections import CollectionRepository
from app.invoices.repository.invoices import InvoiceRepository
from app.invoices.repository.notes import NoteRepository
from app.invoices.repository.numbers import NumberRepository
from app.invoices.service.aftermath import Aftermath
from app.invoices.service.collecting import InvoiceCollecting
from app.invoices.service.mirror import InvoiceMirror
from app.invoices.service.reading import InvoiceService
from app.kernel.clock import ManualClock
from app.kernel.facts import Fact
from app.kernel.ids import OrganizationId, new_id
from app.kernel.pages import PageRequest
from app.organizations.service import OrganizationService
from tests.factories.invoices import NOVEMBER, a_stripe_invoice
from tests.factories.people import an_owner
from tests.support.service import Service

SELLER = Party("Aragora", ("1 Example Street",), "billing@example.test", "TAX 1")


def reading(work: UnitOfWork) -> InvoiceService:
    aftermath = Aftermath(work, NoteRepository(work), CollectionRepository(work), NoPayments())
    return InvoiceService(work, InvoiceRepository(work), aftermath, Press(), Pages())


class Mirror:
    """A mirror whose announced facts can be counted."""

    def __init__(self, service: Service, sessions: Sessions, clock: ManualClock) -> None:
        self.facts: list[Fact] = []
        self.work = UnitOfWork(sessions, JobQueue(clock), followers=self._heard)
        self._rows = InvoiceRepository(self.work)
        self._reading = reading(self.work)
        self.organizations = service.services[OrganizationService]
        self._clock = clock
        self._collecting = service.services[InvoiceCollecting]
        self._top_ups = service.services[TopUpDesk]
        self.service = self.selling_as(SELLER)

    def selling_as(self, seller: Party) -> InvoiceMirror:
        return InvoiceMirror(
            self.work,
            self._rows,
            self.organizations,
            seller,
            self._clock,
            self._collecting,
            self._top_ups,
            NoDiscounts(),
        )

    def _heard(self, facts: object) -> tuple[()]:
        assert isinstance(facts, list)
        self.facts.extend(facts)
        return ()

    async def record(self, organization_id: OrganizationId, *invoices: StripeInvoice) -> None:
        for invoice in invoices:
            await self.service.record(organization_id, invoice)

    async def all(self, organization_id: OrganizationId) -> list[Invoice]:
        return (await self._reading.list(organization_id, PageRequest(limit=100))).items


@pytest.fixture
def mirror(service: Service, sessions: Sessions, clock: ManualClock) -> Mirror:
    # The organizations' service has a unit of its own; only reads go through it.
    return Mirror(service, sessions, clock)


@pytest.fixture
async def organization_id(service: Service) -> OrganizationId:
    return (await an_owner(service, organization_name="Žofia & Söhne")).organization_id


def history(end: str = "paid") -> list[StripeInvoice]:
    """One invoice as Stripe would show it over a month: two failed attempts, then its *end*."""
    start = NOVEMBER.start
    draft = a_stripe_invoice("draft")
    same = {"id": draft.id, "created_at": start}
    opened = a_stripe_invoice("open", **same)
    failed = [
        replace(opened, attempt_count=n, next_attempt_at=start + timedelta(days=3 * n))
        for n in (1, 2)
    ]
    ends = {
        "open": [],
        "paid": [a_stripe_invoice("paid", **same, attempt_count=3)],
        "void": [a_stripe_invoice("void", **same, attempt_count=2)],
        "written off": [a_stripe_invoice("uncollectible", **same, attempt_count=2)],
        "paid after all": [
            a_stripe_invoice("uncollectible", **same, attempt_count=2),
            a_stripe_invoice("paid", **same, attempt_count=3),
        ],
    }
    return [draft, opened, *failed, *ends[end]]


async def test_what_stripe_says_is_kept_with_its_lines(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    told = a_stripe_invoice(due_at=NOVEMBER.end, amount=29900, tax=5681)
    await mirror.record(organization_id, told)
    (kept,) = await mirror.all(organization_id)
    assert kept.stripe_invoice_id == told.id
    assert kept.number == told.number
    assert kept.status is InvoiceStatus.PAID
    assert kept.total.minor == kept.amount_paid.minor == 29900
    assert kept.tax.minor == 5681
    assert kept.period == NOVEMBER
    assert kept.due_at == NOVEMBER.end
    assert kept.seller == SELLER
    assert kept.customer.name == "Žofia & Söhne"
    (line,) = kept.lines
    assert (line.description, line.quantity, line.amount.minor, line.period) == (
        told.lines[0].description,
        Decimal(1),
        29900,
        NOVEMBER,
    )


async def test_telling_it_again_changes_and_announces_nothing(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    told = a_stripe_invoice()
    await mirror.record(organization_id, told, told, told)
    assert len(await mirror.all(organization_id)) == 1
    assert [type(fact) for fact in mirror.facts] == [InvoiceIssued, InvoicePaid]


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    end=st.sampled_from(["open", "paid", "void", "written off", "paid after all"]),
    data=st.data(),
)
async def test_any_order_ends_where_stripe_ended(
    mirror: Mirror, organization_id: OrganizationId, end: str, data: st.DataObject
) -> None:
    states = history(end)
    told = data.draw(st.permutations(states + data.draw(st.lists(st.sampled_from(states)))))
    mirror.facts.clear()
    await mirror.record(organization_id, *told)
    last = states[-1]
    kept = next(
        one for one in await mirror.all(organization_id) if one.stripe_invoice_id == last.id
    )
    assert kept.status == last.status
    assert kept.attempt_count == last.attempt_count
    assert kept.amount_paid.minor == last.amount_paid
    assert kept.number == last.number
    assert len(kept.lines) == len(last.lines)
    paid = [fact for fact in mirror.facts if isinstance(fact, InvoicePaid)]
    assert len(paid) == (last.status == "paid")
    assert len([fact for fact in mirror.facts if isinstance(fact, InvoiceIssued)]) <= 1


def test_every_order_of_a_short_history() -> None:
    looks = [
        Progress(InvoiceStatus(state.status or ""), state.attempt_count, state.amount_paid)
        for state in history("paid after all")
    ]
    for order in itertools.permutations(looks):
        known = order[0]
        for seen in order[1:]:
            if known.gives_way_to(seen):
                known = seen
        assert known == looks[-1]


async def test_racing_workers_keep_one_invoice_at_its_furthest(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    states = history("paid")
    await asyncio.gather(
        *(mirror.record(organization_id, state) for state in states for _ in range(3))
    )
    (kept,) = await mirror.all(organization_id)
    assert kept.status is InvoiceStatus.PAID
    assert len(kept.lines) == 1
    assert len([fact for fact in mirror.facts if isinstance(fact, InvoicePaid)]) == 1


async def test_a_draft_changes_its_lines_and_an_issued_invoice_its_parties_no_more(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    draft = a_stripe_invoice("draft")
    more = replace(draft, lines=(*draft.lines, *draft.lines), total=59800)
    await mirror.record(organization_id, draft, more)
    (kept,) = await mirror.all(organization_id)
    assert len(kept.lines) == 2
    assert kept.total.minor == 59800
    renamed = mirror.selling_as(Party("Aragora Ltd"))
    opened = replace(more, status="open", number="A-1")
    await renamed.record(organization_id, opened)
    assert (await mirror.all(organization_id))[0].seller.name == "Aragora Ltd"
    again = mirror.selling_as(Party("Somebody Else"))
    await again.record(organization_id, replace(opened, status="paid"))
    (kept,) = await mirror.all(organization_id)
    assert (kept.status, kept.seller.name) == (InvoiceStatus.PAID, "Aragora Ltd")


async def test_an_invoice_is_made_out_to_whom_stripe_says(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    buyer = StripeBuyer(
        name="Analytical Engines Ltd",
        email="accounts@example.test",
        address=("1 Example Street", "EX1 2MP Exeter", "GB"),
        tax_ids=("GB123456789",),
    )
    await mirror.record(organization_id, a_stripe_invoice(buyer=buyer))
    (kept,) = await mirror.all(organization_id)
    assert kept.customer == Party(
        "Analytical Engines Ltd", buyer.address, "accounts@example.test", "GB123456789"
    )


async def test_a_preview_and_an_unheard_of_state_are_left_out(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    await mirror.record(
        organization_id,
        replace(a_stripe_invoice(), id=None),
        replace(a_stripe_invoice(), status="frozen"),
        replace(a_stripe_invoice(), status=None),
    )
    assert await mirror.all(organization_id) == []


async def test_one_stripe_id_in_two_organizations_is_two_rows(
    mirror: Mirror, organization_id: OrganizationId, service: Service
) -> None:
    other = (await an_owner(service)).organization_id
    told = a_stripe_invoice()
    await mirror.record(organization_id, told)
    await mirror.record(other, told)
    (mine,) = await mirror.all(organization_id)
    with pytest.raises(InvoiceNotFound):
        await reading(mirror.work).get(other, mine.id)


async def test_the_caller_rolls_the_invoice_back_with_the_rest(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    with pytest.raises(LookupError):
        async with mirror.work.begin(organization_id):
            await mirror.service.record(organization_id, a_stripe_invoice())
            raise LookupError
    assert await mirror.all(organization_id) == []
    assert mirror.facts == []
    async with mirror.work.begin(organization_id) as session:
        count = await session.scalar(
            select(func.count()).where(InvoiceRow.organization_id == organization_id)
        )
        lines = await session.scalar(
            select(func.count()).where(LineRow.organization_id == organization_id)
        )
    assert (count, lines) == (0, 0)


async def test_the_list_goes_by_creation_and_not_by_arrival(
    mirror: Mirror, organization_id: OrganizationId
) -> None:
    ages = [3, 1, 2, 5, 4]
    for age in ages:
        created = NOVEMBER.start - timedelta(days=age)
        await mirror.record(organization_id, a_stripe_invoice(created_at=created))
    kept = [invoice.created_at for invoice in await mirror.all(organization_id)]
    assert kept == sorted(kept, reverse=True)


def numbers_of(work: UnitOfWork) -> InvoiceNumbers:
    return InvoiceNumbers(work, NumberRepository(work))


async def test_numbers_have_no_gap_though_units_roll_back(work: UnitOfWork) -> None:
    numbers, seller = numbers_of(work), new_id().hex

    async def issue(number: int) -> str | None:
        try:
            async with work.begin_platform():
                taken = await numbers.take(seller, NOVEMBER.start)
                await asyncio.sleep(0.001)
                if number % 3 == 0:
                    raise LookupError
                return taken
        except LookupError:
            return None

    taken = await asyncio.gather(*(issue(n) for n in range(30)))
    issued = sorted(number for number in taken if number is not None)
    assert issued == [f"INV-2026-{n:06}" for n in range(1, 21)]


async def test_a_sequence_would_leave_gaps(work: UnitOfWork) -> None:
    name = f"rival_{new_id().hex}"
    async with work.begin_platform() as session:
        await session.execute(text(f"create sequence {name}"))
    with pytest.raises(LookupError):
        async with work.begin_platform() as session:
            await session.scalar(text(f"select nextval('{name}')"))
            raise LookupError
    async with work.begin_platform() as session:
        assert await session.scalar(text(f"select nextval('{name}')")) == 2
        await session.execute(text(f"drop sequence {name}"))


async def test_each_seller_and_each_year_has_its_own_series(work: UnitOfWork) -> None:
    numbers, seller, other = numbers_of(work), new_id().hex, new_id().hex
    new_year = NOVEMBER.start.replace(year=2027, month=1, day=1, hour=0)
    last_moment = new_year - timedelta(microseconds=1)
    taken = [
        await numbers.take(*cause)
        for cause in [
            (seller, last_moment),
            (seller, new_year),
            (other, last_moment),
            (seller, last_moment),
        ]
    ]
    assert taken == ["INV-2026-000001", "INV-2027-000001", "INV-2026-000001", "INV-2026-000002"]
