"""How the inbox is built."""

from sqlalchemy import URL

from app.audit.service import AuditLog
from app.credits.service.top_ups import TopUpDesk
from app.gateways.stripe.credit_notes import CreditNotesGateway
from app.gateways.stripe.gateway import StripeGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.invoices.service.mirror import InvoiceMirror
from app.kernel.clock import Clock
from app.metered.service import MeterErrors
from app.payments.service import PaymentMirror, PaymentReports
from app.reconciliation.domain import EventInbox
from app.subscriptions.service import CheckoutService, SubscriptionMirror
from app.subscriptions.service.known import KnownAtStripe
from app.webhooks.repository import InboxRepository
from app.webhooks.service.handlers import handlers_of
from app.webhooks.service.inbox import StripeInbox
from app.webhooks.service.intake import StripeIntake
from app.webhooks.service.topics.customers import CustomerTopic
from app.webhooks.service.topics.invoices import InvoiceTopic
from app.webhooks.service.topics.meters import MeterTopic
from app.webhooks.service.topics.payments import PaymentTopic
from app.webhooks.service.topics.subscriptions import SubscriptionTopic


def register(services: Services) -> None:
    work, settings = services[UnitOfWork], services[Settings]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    events = InboxRepository(work)
    secrets = [secret.get_secret_value() for secret in settings.stripe_webhook_secrets]
    intake = services.add(
        StripeIntake, StripeIntake(services[URL], clock, [s for s in secrets if s])
    )
    services.add(EventInbox, intake)  # type: ignore[type-abstract]
    services[Lifecycle].add(_nothing, intake.close)
    known, mirror = services[KnownAtStripe], services[SubscriptionMirror]
    stripe: StripeGateway = services[StripeGateway]  # type: ignore[type-abstract]
    handlers = handlers_of(
        SubscriptionTopic(stripe, known, mirror, services[CheckoutService]),
        InvoiceTopic(
            stripe,
            known,
            mirror,
            services[InvoiceMirror],
            services[TopUpDesk],
            services[CreditNotesGateway],  # type: ignore[type-abstract]
        ),
        CustomerTopic(stripe, known, mirror),
        MeterTopic(services[MeterErrors]),
        PaymentTopic(services[PaymentReports], known, services[PaymentMirror]),
    )
    services.add(
        StripeInbox,
        StripeInbox(work, events, clock, services[AuditLog], handlers, livemode=settings.livemode),
    )


async def _nothing() -> None:
    return None
