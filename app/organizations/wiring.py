"""How organizations are built."""

from app.audit.service import AuditLog
from app.infra.db.signals import Signals
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.security.secret import SigningSecret
from app.infra.security.tokens import KeyedHash
from app.kernel.clock import Clock
from app.organizations.domain import PlanAdvice, UsageReader
from app.organizations.repository import (
    InviteRepository,
    MemberRepository,
    OrganizationRepository,
    QuotaWindowRepository,
)
from app.organizations.repository_held import HeldRepository
from app.organizations.service import (
    InviteService,
    MemberService,
    OrganizationService,
    OverviewService,
)
from app.organizations.service.held import HeldPlans
from app.users.service import UserService


def register(services: Services) -> None:
    work = services[UnitOfWork]
    clock = services[Clock]  # type: ignore[type-abstract]
    plans = services[PlanAdvice]  # type: ignore[type-abstract]
    audit, signals, users = services[AuditLog], services[Signals], services[UserService]
    organizations = OrganizationRepository(work)
    members = MemberRepository(work)
    invites = InviteRepository(work)
    services.add(
        OrganizationService,
        OrganizationService(
            work,
            organizations,
            members,
            QuotaWindowRepository(work),
            plans,
            audit,
            signals,
            clock,
        ),
    )
    services.add(HeldPlans, HeldPlans(work, HeldRepository(work)))
    services.add(
        MemberService,
        MemberService(work, organizations, members, users, audit, signals, clock),
    )
    services.add(
        InviteService,
        InviteService(
            work,
            organizations,
            members,
            invites,
            users,
            plans,
            KeyedHash(services[SigningSecret].derive("invites")),
            audit,
            signals,
            clock,
        ),
    )

    def usage() -> UsageReader | None:
        # `usage` stands above organizations and registers later, or in a small deployment never.
        if UsageReader not in services:
            return None
        return services[UsageReader]  # type: ignore[type-abstract]

    services.add(
        OverviewService, OverviewService(work, organizations, members, invites, usage, clock)
    )
