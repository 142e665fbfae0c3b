"""How notifications are built."""

from app.audit.service import AuditLog
from app.auth.service.one_time_tokens import OneTimeTokenService
from app.budgets.service.alerts import AlertService
from app.credits.service.top_ups import TopUpDesk
from app.gateways.hooks.gateway import ChatGateway, HookGateway
from app.gateways.mail.gateway import MailGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.security.secret import SigningSecret
from app.infra.settings import Settings
from app.invoices.service.paying import WaysToPay
from app.invoices.service.reading import InvoiceService
from app.kernel.clock import Clock
from app.notifications.rendering import Renderer
from app.notifications.repository.endpoints import DeliveryRepository, EndpointRepository
from app.notifications.repository.notices import NoticeRepository
from app.notifications.repository.preferences import PreferenceRepository
from app.notifications.service.composing.credit import CreditLetters
from app.notifications.service.composing.hooks import HookLetters
from app.notifications.service.composing.limits import LimitLetters
from app.notifications.service.composing.money import MoneyLetters
from app.notifications.service.composing.payments import PaymentLetters
from app.notifications.service.composing.people import PeopleLetters
from app.notifications.service.composing.platform import PlatformLetters
from app.notifications.service.delivery import Delivery
from app.notifications.service.endpoints import EndpointService, SecretBox
from app.notifications.service.letters import Letters
from app.notifications.service.looking import NoticeDesk
from app.notifications.service.outbox import EndpointOutbox
from app.notifications.service.posting import Posting
from app.notifications.service.preferences import PreferenceService, UnsubscribeLinks
from app.notifications.service.telling import Telling
from app.organizations.service import InviteService, MemberService, OrganizationService
from app.subscriptions.service import SubscriptionService
from app.usage.service.usage import UsageService
from app.users.service import UserService


def register(services: Services) -> None:
    work, settings, users = services[UnitOfWork], services[Settings], services[UserService]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    notices = NoticeRepository(work)
    invoices = services[InvoiceService]
    secrets = SecretBox(services[SigningSecret])
    hooks: HookGateway = services[HookGateway]  # type: ignore[type-abstract]
    has_chat = ChatGateway in services
    chat: ChatGateway | None = services[ChatGateway] if has_chat else None  # type: ignore[type-abstract]
    stores = EndpointRepository(work), DeliveryRepository(work)
    endpoints = services.add(
        EndpointService,
        EndpointService(work, *stores, hooks, secrets, services[AuditLog], clock),
    )
    work.attend(EndpointOutbox(endpoints, clock).take)
    services.add(Posting, Posting(work, *stores, hooks, secrets, clock))
    people = PeopleLetters(users, services[OneTimeTokenService], services[InviteService])
    letters = Letters(
        {
            **people.composers,
            **PaymentLetters(services[SubscriptionService], invoices, clock).composers,
            **MoneyLetters(invoices, services[WaysToPay], clock).composers,
            **CreditLetters(services[TopUpDesk]).composers,
            **LimitLetters(services[UsageService], services[AlertService]).composers,
            **HookLetters(endpoints).composers,
            **PlatformLetters().composers,
        },
        users,
        services[OrganizationService],
    )
    links = UnsubscribeLinks(services[SigningSecret], settings.base_url)
    preferences = services.add(
        PreferenceService,
        PreferenceService(
            work,
            PreferenceRepository(work),
            services[OrganizationService],
            links,
            services[AuditLog],
            clock,
        ),
    )
    services.add(NoticeDesk, NoticeDesk(work, notices, services[AuditLog], clock))
    renderer = Renderer(
        settings.base_url,
        settings.seller_name,
        settings.seller_email or settings.smtp_from,
        settings.app_url,
    )
    mail: MailGateway = services[MailGateway]  # type: ignore[type-abstract]
    services.add(Delivery, Delivery(work, notices, letters, renderer, links, mail, chat, clock))
    services.add(
        Telling,
        Telling(
            work,
            notices,
            services[MemberService],
            users,
            preferences,
            clock,
            has_chat=has_chat,
        ),
    )
