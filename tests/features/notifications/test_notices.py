"""What happens to an organization's money, and who hears of it: once, and only while it is so."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from app.gateways.mail.gateway import Mail
from app.infra.security.passwords import Passwords
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.facts import Fact
from app.kernel.ids import OrganizationId, new_id
from app.notifications.domain import NoticeKind
from app.notifications.models import Notice, PersonalNotice
from app.payments.events import DisputeClosed, DisputeOpened, RefundFailed, RefundMade
from app.recovery.events import GraceEnded, GraceEnding
from app.subscribers import SUBSCRIPTIONS
from app.subscriptions.events import (
    DuplicateSubscription,
    PaymentActionRequired,
    PaymentFailed,
    PaymentMethodExpiring,
    PaymentRecovered,
    PriceUnknown,
    TrialEnding,
)
from app.usage.service.ingest import UsageIngest
from app.users.service import UserService
from tests.conftest import START
from tests.factories.invoices import a_stripe_invoice
from tests.factories.mirrored import a_subscription
from tests.factories.people import PASSWORD, Owner, an_email, an_owner
from tests.support.service import Service

PAY = "https://pay.example.test/i/1"


async def announce(service: Service, fact: Fact, *, times: int = 1) -> None:
    organization_id = OrganizationId(fact.organization_id)  # type: ignore[attr-defined]
    for _ in range(times):
        async with service.work.begin(organization_id):
            service.work.announce(fact)
    await service.drain()


def mails(service: Service, owner: Owner) -> list[Mail]:
    return [mail for mail in service.mail.to(owner.email) if "Confirm your" not in mail.subject]


async def states(service: Service, organization_id: UUID, kind: NoticeKind) -> list[str]:
    async with service.work.begin_platform() as session:
        found = await session.scalars(
            select(Notice.state).where(
                Notice.organization_id == organization_id, Notice.kind == kind.value
            )
        )
        return list(found)


def a_failure(owner: Owner, attempt: int = 1, invoice: str | None = None) -> PaymentFailed:
    return PaymentFailed(
        organization_id=owner.organization_id,
        subscription_id=new_id(),
        stripe_invoice_id=invoice or f"in_{owner.organization_id.hex}",
        attempt=attempt,
        failed_at=START,
        amount_due=29900,
        currency="usd",
        next_attempt_at=START + timedelta(days=3),
        pay_url=PAY,
    )


def test_every_kind_of_notice_is_woken_by_some_fact() -> None:
    woken = {job for jobs in SUBSCRIPTIONS.values() for job in jobs}
    assert {f"notifications.{kind.value}" for kind in NoticeKind} <= woken


async def test_a_failed_payment_is_told_once_an_attempt(service: Service) -> None:
    owner = await an_owner(service)
    await a_subscription(service, owner.organization_id)
    for attempt in (1, 2, 2, 1, 3):
        await announce(service, a_failure(owner, attempt), times=2)
    first, second, third = mails(service, owner)
    assert first.subject == "Analytical Engines: a payment of 299.00 USD failed"
    assert "attempt 2" in second.subject
    assert "attempt 3" in third.subject
    assert "until 2026-12-01 09:00 UTC" in first.text
    assert "tried again on 2026-11-24 09:00 UTC" in first.text
    assert PAY in first.text


async def test_a_failure_that_is_heard_after_the_payment_is_not_told(service: Service) -> None:
    owner = await an_owner(service)
    await a_subscription(service, owner.organization_id)
    invoice = a_stripe_invoice("paid", billing_reason="subscription_update")
    async with service.work.begin(owner.organization_id):
        await service.services[InvoiceMirror].record(owner.organization_id, invoice)
    await service.drain()
    assert invoice.id is not None
    await announce(service, a_failure(owner, invoice=invoice.id))
    assert mails(service, owner) == []
    assert await states(service, owner.organization_id, NoticeKind.PAYMENT_FAILED) == ["obsolete"]


async def test_a_failure_of_what_goes_well_again_is_not_told(service: Service) -> None:
    owner = await an_owner(service)
    await a_subscription(service, owner.organization_id, "active")
    await announce(service, a_failure(owner))
    assert mails(service, owner) == []


async def test_a_payment_that_needs_its_owner_says_where(service: Service) -> None:
    owner = await an_owner(service)
    await a_subscription(service, owner.organization_id, "incomplete")
    fact = PaymentActionRequired(owner.organization_id, new_id(), "in_action", PAY)
    await announce(service, fact, times=3)
    (mail,) = mails(service, owner)
    assert "please confirm a payment" in mail.subject
    assert PAY in mail.text


async def test_grace_is_warned_of_once_ended_once_and_forgotten_when_paid(
    service: Service,
) -> None:
    owner = await an_owner(service)
    subscription_id = await a_subscription(service, owner.organization_id)
    until = START + timedelta(days=10)
    ending = GraceEnding(owner.organization_id, subscription_id, until)
    await announce(service, ending, times=2)
    service.clock.set(until)
    await announce(service, GraceEnding(owner.organization_id, new_id(), until))
    await announce(service, GraceEnded(owner.organization_id, subscription_id, until), times=2)
    warning, end = mails(service, owner)
    assert "ends on 2026-12-01 09:00 UTC unless it is paid" in warning.subject
    assert "the free limits hold now" in end.subject

    paid = await an_owner(service)
    active = await a_subscription(service, paid.organization_id, "active")
    await announce(service, GraceEnding(paid.organization_id, active, until))
    await announce(service, GraceEnded(paid.organization_id, active, until))
    assert mails(service, paid) == []
    await announce(service, PaymentRecovered(paid.organization_id, active, "in_1"), times=2)
    (thanks,) = mails(service, paid)
    assert "thank you" in thanks.subject


async def test_a_trial_that_ends_is_told_unless_it_was_over_or_longer(service: Service) -> None:
    owner = await an_owner(service)
    end = START + timedelta(days=3)
    subscription_id = await a_subscription(
        service, owner.organization_id, "trialing", trial_end=end
    )
    await announce(service, TrialEnding(owner.organization_id, subscription_id, end), times=2)
    later = TrialEnding(owner.organization_id, subscription_id, end + timedelta(days=9))
    await announce(service, later)
    (mail,) = mails(service, owner)
    assert "the trial ends on 2026-11-24" in mail.subject
    assert "for 299.00 USD a month" in mail.text


async def test_a_card_that_expires_is_told_once_for_its_month(service: Service) -> None:
    owner = await an_owner(service)
    await a_subscription(service, owner.organization_id, "active")
    card = PaymentMethodExpiring(owner.organization_id, "visa", "4242", 12, 2026)
    await announce(service, card, times=2)
    (mail,) = mails(service, owner)
    assert "visa card ending in 4242" in mail.text
    assert "December 2026" in mail.text


async def test_an_open_invoice_is_told_and_a_paid_one_has_one_receipt(service: Service) -> None:
    owner = await an_owner(service)
    mirror = service.services[InvoiceMirror]

    async def seen(**values: object) -> None:
        async with service.work.begin(owner.organization_id):
            await mirror.record(
                owner.organization_id,
                a_stripe_invoice(id="in_" + owner.organization_id.hex, **values),  # type: ignore[arg-type]
            )
        await service.drain()

    await seen(status="open")
    await seen(status="open")
    (ready,) = mails(service, owner)
    assert ready.subject == "Analytical Engines: invoice A1B2C3-0001 over 299.00 USD"
    await seen(status="paid")
    await seen(status="paid")
    _, receipt = mails(service, owner)
    assert receipt.subject == "Analytical Engines: receipt for 299.00 USD"
    assert "2026-11-21 to 2026-12-21" in receipt.text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"billing_reason": "subscription_create"}, ["receipt for"]),
        ({"billing_reason": "subscription_update"}, []),
        ({"amount": 0}, []),
    ],
)
async def test_what_is_paid_at_once_has_a_receipt_and_nothing_else(
    service: Service, values: dict[str, object], expected: list[str]
) -> None:
    """A receipt is for a period that was paid (rule 9); a trial's zero invoice is not."""
    owner = await an_owner(service)
    async with service.work.begin(owner.organization_id):
        await service.services[InvoiceMirror].record(
            owner.organization_id,
            a_stripe_invoice("paid", **values),
        )
    await service.drain()
    assert len(mails(service, owner)) == len(expected)
    for mail, words in zip(mails(service, owner), expected, strict=True):
        assert words in mail.subject


async def test_refunds_and_disputes_reach_the_customer(service: Service) -> None:
    owner = await an_owner(service)
    of = owner.organization_id
    refund, dispute = new_id(), new_id()
    for _ in range(2):
        await announce(service, RefundMade(of, refund, 5000, "usd"))
        await announce(service, RefundFailed(of, refund, 5000, "usd"))
        await announce(
            service, DisputeOpened(of, dispute, 29900, "usd", "product_not_received", False)
        )
        await announce(service, DisputeClosed(of, dispute, "lost"))
    made, failed, opened, closed = mails(service, owner)
    assert "50.00 USD were refunded" in made.subject
    assert "did not arrive" in failed.subject
    assert "disputes a payment of 299.00 USD" in opened.subject
    assert "product not received" in opened.text
    assert "the bank has kept the money" in closed.text


async def an_operator(service: Service) -> str:
    email = an_email("operator")
    password = await service.services[Passwords].hash(PASSWORD)
    await service.services[UserService].create(
        email, "Grace Hopper", password, is_operator=True, is_verified=True
    )
    return email


async def test_operators_hear_what_only_they_can_set_right(service: Service) -> None:
    owner, operator = await an_owner(service), await an_operator(service)
    of = owner.organization_id
    for _ in range(2):
        await announce(service, DuplicateSubscription(of, new_id(), f"sub_{of.hex}"))
        await announce(service, PriceUnknown(of, f"sub_{of.hex}", "price_unheard_of"))
        await announce(service, DisputeOpened(of, of, 100, "jpy", "fraudulent", True))
    duplicate, price, dispute = service.mail.to(operator)
    assert duplicate.subject == "Analytical Engines pays for two subscriptions"
    assert "price_unheard_of" in price.subject
    assert "a bank asks about a payment of 100 JPY" in dispute.subject
    assert "because you operate this platform" in dispute.text
    assert [mail.subject for mail in mails(service, owner)] == [dispute.subject]
    async with service.work.begin_platform() as session:
        rows = await session.scalars(
            select(PersonalNotice.state).where(PersonalNotice.recipient == operator)
        )
        assert list(rows) == ["sent"] * 3


async def join(service: Service, owner: Owner, role: str) -> Owner:
    """Somebody else in *owner*'s organization."""
    email = an_email(role)
    await owner.client.post(
        f"/api/v1/organizations/{owner.id}/invites", json={"email": email, "role": role}
    )
    await service.drain()
    (mail,) = service.mail.to(email)
    code = next(line.strip() for line in mail.text.splitlines() if line.startswith("    "))
    person = await an_owner(service, email=email)
    answer = await person.client.post("/api/v1/organizations/invites/accept", json={"token": code})
    assert answer.status_code == 200, answer.text
    await service.drain()
    switched = await person.client.post("/api/v1/auth/switch", json={"organization_id": owner.id})
    return replace(person, client=service.client(switched.json()["access_token"]))


async def test_those_who_look_after_billing_are_told_and_nobody_else(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    people = {role: await join(service, owner, role) for role in ("admin", "billing", "member")}
    gone = await join(service, owner, "admin")
    async with service.work.begin(owner.organization_id):
        service.work.announce(RefundMade(owner.organization_id, new_id(), 100, "usd"))
    await owner.client.delete(
        f"/api/v1/organizations/{owner.id}/members/"
        f"{(await gone.client.get('/api/v1/auth/me')).json()['id']}"
    )
    await service.drain()

    def told(person: Owner) -> bool:
        return any("were refunded" in mail.subject for mail in service.mail.to(person.email))

    assert told(owner)
    assert {role: told(person) for role, person in people.items()} == {
        "admin": True,
        "billing": True,
        "member": False,
    }
    assert not told(gone)


async def test_whoever_left_between_the_note_and_the_mail_hears_nothing(service: Service) -> None:
    owner = await an_owner(service, plan="professional")
    gone = await join(service, owner, "admin")
    from app.gateways.mail.gateway import MailUnavailable

    service.mail.failures = [MailUnavailable(reason="away"), MailUnavailable(reason="away")]
    await announce(service, RefundMade(owner.organization_id, new_id(), 100, "usd"))
    me = (await gone.client.get("/api/v1/auth/me")).json()["id"]
    answer = await owner.client.delete(f"/api/v1/organizations/{owner.id}/members/{me}")
    assert answer.is_success
    service.clock.advance(minutes=1)
    await service.drain()
    assert any("were refunded" in mail.subject for mail in service.mail.to(owner.email))
    assert not any("were refunded" in mail.subject for mail in service.mail.to(gone.email))


async def test_a_quota_is_told_at_eighty_and_at_a_hundred_percent(service: Service) -> None:
    owner = await an_owner(service)
    for number in range(10):
        answer = await owner.client.post(
            "/api/v1/usage/events", json={"id": f"d{number}", "type": "debate"}
        )
        assert answer.status_code == 201
        if number in (7, 9):
            await service.services[UsageIngest]._notices.finish()
            await service.drain()
    eighty, hundred = mails(service, owner)
    assert eighty.subject == "Analytical Engines: 80 % of debates used"
    assert "Of the debates in its plan, Analytical Engines has used 8 of 10." in eighty.text
    assert "Nothing is refused yet." in eighty.text
    assert hundred.subject == "Analytical Engines: 100 % of debates used"
    assert "begins anew on 2026-12-01 00:00 UTC" in hundred.text


async def test_a_quota_that_a_higher_plan_has_widened_is_no_news(service: Service) -> None:
    from tests.factories.people import grant_plan

    owner = await an_owner(service)
    for number in range(8):
        await owner.client.post("/api/v1/usage/events", json={"id": f"d{number}", "type": "debate"})
    await service.services[UsageIngest]._notices.finish()
    await grant_plan(service, owner.organization_id, "professional")
    await service.drain()
    assert mails(service, owner) == []
    assert await states(service, owner.organization_id, NoticeKind.QUOTA_THRESHOLD) == ["obsolete"]
