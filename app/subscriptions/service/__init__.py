"""What can be done with subscriptions, by noun."""

from app.subscriptions.service.cards import ExpiringCards
from app.subscriptions.service.changes import ChangeService
from app.subscriptions.service.checkout import CheckoutService
from app.subscriptions.service.customers import StripeCustomers
from app.subscriptions.service.manual import ManualPlanService
from app.subscriptions.service.mirror import SubscriptionMirror
from app.subscriptions.service.reading import SubscriptionService
from app.subscriptions.service.reports import Report, Taken
from app.subscriptions.service.visits import CheckoutVisits

__all__ = [
    "ChangeService",
    "CheckoutService",
    "CheckoutVisits",
    "ExpiringCards",
    "ManualPlanService",
    "Report",
    "StripeCustomers",
    "SubscriptionMirror",
    "SubscriptionService",
    "Taken",
]
