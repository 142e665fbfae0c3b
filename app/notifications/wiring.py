"""How notifications are built."""

from app.auth.service.one_time_tokens import OneTimeTokenService
from app.budgets.service.alerts import AlertService
from app.gateways.mail.gateway import MailGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.settings import Settings
from app.kernel.clock import Clock
from app.notifications.rendering import Renderer
from app.notifications.repository import NoticeRepository
from app.notifications.service.budget_notices import BudgetNotices
from app.notifications.service.delivery import Delivery
from app.notifications.service.notices import OrganizationNotices, PersonalNotices
from app.notifications.service.operator_notices import OperatorNotices
from app.organizations.service import InviteService, MemberService, OrganizationService
from app.users.service import UserService


def register(services: Services) -> None:
    work, settings, users = services[UnitOfWork], services[Settings], services[UserService]
    delivery = Delivery(
        work,
        NoticeRepository(work),
        services[MailGateway],  # type: ignore[type-abstract]
        Renderer(settings.base_url, settings.seller_name),
        services[Clock],  # type: ignore[type-abstract]
    )
    services.add(PersonalNotices, PersonalNotices(delivery, users, services[OneTimeTokenService]))
    organizations = services[OrganizationService]
    services.add(OperatorNotices, OperatorNotices(delivery, users, organizations))
    services.add(
        BudgetNotices,
        BudgetNotices(delivery, organizations, services[MemberService], services[AlertService]),
    )
    services.add(
        OrganizationNotices,
        OrganizationNotices(delivery, users, organizations, services[InviteService]),
    )
