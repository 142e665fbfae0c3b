"""How discounts are built."""

from app.audit.service import AuditLog
from app.catalog.service import CatalogService
from app.discounts.repository import PromoCodeRepository, RedemptionRepository
from app.discounts.service.book import DiscountsOfInvoices
from app.discounts.service.codes import PromoCodeService
from app.discounts.service.coupons import CouponSync
from app.discounts.service.redeeming import Redeeming
from app.discounts.service.volume import VolumeService
from app.gateways.stripe.coupons import CouponsGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock
from app.kernel.settling import SpendReader


def register(services: Services) -> None:
    work, audit = services[UnitOfWork], services[AuditLog]
    clock = services[Clock]  # type: ignore[type-abstract]
    codes, redemptions = PromoCodeRepository(work), RedemptionRepository(work)
    services.add(PromoCodeService, PromoCodeService(work, codes, audit, clock))
    services.add(
        Redeeming, Redeeming(work, codes, redemptions, audit, clock, services[CatalogService])
    )
    services.add(DiscountsOfInvoices, DiscountsOfInvoices(work, codes, redemptions, clock))
    stripe = services[CouponsGateway]  # type: ignore[type-abstract]
    services.add(CouponSync, CouponSync(work, codes, stripe))

    def reader() -> SpendReader:
        return services[SpendReader]  # type: ignore[type-abstract]

    services.add(VolumeService, VolumeService(work, reader))
