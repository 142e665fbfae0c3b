"""How insights are built."""

from app.budgets.service.budgets import BudgetService
from app.infra.http.provide import Services
from app.insights.roi_service import RoiService
from app.insights.service import InsightService
from app.kernel.clock import Clock
from app.subscriptions.service import SubscriptionService
from app.usage.service.usage import UsageService


def register(services: Services) -> None:
    services.add(
        InsightService,
        InsightService(
            services[UsageService],
            services[BudgetService],
            services[Clock],  # type: ignore[type-abstract]
        ),
    )
    services.add(RoiService, RoiService(services[UsageService], services[SubscriptionService]))
