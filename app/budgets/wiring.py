"""How budgets are built."""

from app.audit.service import AuditLog
from app.budgets.repository import AlertRepository, BudgetRepository, OverrideRepository
from app.budgets.service.alerts import AlertService
from app.budgets.service.budgets import BudgetService
from app.budgets.service.overrides import OverrideService
from app.budgets.service.spending import SpendingService
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock
from app.usage.service.ingest import UsageIngest
from app.usage.service.spend_limits import SpendLimits


def register(services: Services) -> None:
    work, limits, audit = services[UnitOfWork], services[SpendLimits], services[AuditLog]
    clock = services[Clock]  # type: ignore[type-abstract]
    budgets, overrides = BudgetRepository(work), OverrideRepository(work)
    services.add(BudgetService, BudgetService(work, budgets, overrides, limits, audit, clock))
    services.add(OverrideService, OverrideService(work, budgets, overrides, limits, audit, clock))
    services.add(AlertService, AlertService(work, budgets, AlertRepository(work), audit, clock))
    services.add(SpendingService, SpendingService(work, budgets, limits, services[UsageIngest]))
