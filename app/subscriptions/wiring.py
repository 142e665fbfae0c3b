"""How subscriptions are built."""

from sqlalchemy import URL

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.credits.domain import Payers
from app.discounts.service.coupons import CouponSync
from app.discounts.service.redeeming import Redeeming
from app.gateways.stripe.gateway import StripeGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.kernel.clock import Clock
from app.organizations.service import OrganizationService
from app.subscriptions.metering import MeteredPlans
from app.subscriptions.repository import (
    ChangeRepository,
    CheckoutRepository,
    ManualPlanRepository,
    RegistrationRepository,
    SubscriptionRepository,
)
from app.subscriptions.repository_coverage import CoverageRepository
from app.subscriptions.repository_given import StretchRepository
from app.subscriptions.repository_known import KnownRepository
from app.subscriptions.service import (
    ChangeService,
    CheckoutService,
    CheckoutVisits,
    ExpiringCards,
    ManualPlanService,
    StripeCustomers,
    SubscriptionMirror,
    SubscriptionService,
)
from app.subscriptions.service.access import AccessReview
from app.subscriptions.service.collecting import Collecting
from app.subscriptions.service.coverage import SubscriptionCoverage
from app.subscriptions.service.given import GivenStretches
from app.subscriptions.service.holdings import Holdings
from app.subscriptions.service.known import KnownAtStripe
from app.subscriptions.service.paying import SavedWaysToPay
from app.subscriptions.service.promotions import PagePromotions


def register(services: Services) -> None:
    work, audit, catalogs = services[UnitOfWork], services[AuditLog], services[CatalogService]
    organizations = services[OrganizationService]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    stripe: StripeGateway = services[StripeGateway]  # type: ignore[type-abstract]
    grace_days = services[Settings].payment_grace_days
    rows = SubscriptionRepository(work)
    given = ManualPlanRepository(work)
    stretches = StretchRepository(work)

    def meters() -> MeteredPlans:
        return services[MeteredPlans]  # type: ignore[type-abstract]

    access = AccessReview(
        work,
        rows,
        given,
        organizations,
        catalogs,
        clock,
        grace_days,
        GivenStretches(stretches),
        meters,
    )
    mirror = services.add(
        SubscriptionMirror,
        SubscriptionMirror(work, rows, Collecting(work, rows, clock), access, catalogs, clock),
    )
    services.add(KnownAtStripe, KnownAtStripe(work, KnownRepository(work), organizations))
    customers = services.add(
        StripeCustomers,
        StripeCustomers(work, RegistrationRepository(work), organizations, stripe, clock),
    )
    services.add(
        CheckoutService,
        CheckoutService(
            work,
            CheckoutRepository(work),
            rows,
            customers,
            catalogs,
            stripe,
            PagePromotions(work, services[Redeeming], services[CouponSync], stripe),
            audit,
            clock,
        ),
    )
    services.add(
        ChangeService,
        ChangeService(work, ChangeRepository(work), rows, mirror, catalogs, stripe, audit, clock),
    )
    services.add(
        SubscriptionCoverage, SubscriptionCoverage(work, CoverageRepository(work), stretches)
    )
    services.add(
        CheckoutVisits, CheckoutVisits(work, CheckoutRepository(work), rows, stripe, clock)
    )
    services.add(
        ManualPlanService,
        ManualPlanService(work, given, rows, mirror, organizations, catalogs, audit, clock),
    )
    holdings = Holdings(services[URL])
    reading = services.add(
        SubscriptionService,
        SubscriptionService(work, rows, holdings, customers, catalogs, stripe, clock, grace_days),
    )
    services.add(Payers, SavedWaysToPay(customers, reading, stripe))  # type: ignore[type-abstract]
    services.add(ExpiringCards, ExpiringCards(work, rows, reading, clock))
    services[Lifecycle].add(_nothing, holdings.close)


async def _nothing() -> None:
    return None
