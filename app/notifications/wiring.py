"""How notifications are built."""

from app.auth.service.one_time_tokens import OneTimeTokenService
from app.budgets.service.alerts import AlertService
from app.gateways.mail.gateway import MailGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.invoices.service.reading import InvoiceService
from app.kernel.clock import Clock
from app.notifications.rendering import Renderer
from app.notifications.repository.notices import NoticeRepository
from app.notifications.service.composing.limits import LimitLetters
from app.notifications.service.composing.money import MoneyLetters
from app.notifications.service.composing.payments import PaymentLetters
from app.notifications.service.composing.people import PeopleLetters
from app.notifications.service.composing.platform import PlatformLetters
from app.notifications.service.delivery import Delivery
from app.notifications.service.letters import Letters
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
    people = PeopleLetters(users, services[OneTimeTokenService], services[InviteService])
    letters = Letters(
        {
            **people.composers,
            **PaymentLetters(services[SubscriptionService], invoices, clock).composers,
            **MoneyLetters(invoices).composers,
            **LimitLetters(services[UsageService], services[AlertService]).composers,
            **PlatformLetters().composers,
        },
        users,
        services[OrganizationService],
    )
    renderer = Renderer(
        settings.base_url, settings.seller_name, settings.seller_email or settings.smtp_from
    )
    mail: MailGateway = services[MailGateway]  # type: ignore[type-abstract]
    services.add(Delivery, Delivery(work, notices, letters, renderer, mail, clock))
    services.add(Telling, Telling(work, notices, services[MemberService], users, clock))
