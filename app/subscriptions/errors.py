"""What cannot be bought or changed, and why."""

from app.kernel.errors import Conflict, NotFound, Refused, Unavailable


class UnknownPlan(Refused):
    """There is no plan called {plan}; GET /api/v1/plans lists them."""

    code = "unknown_plan"


class PlanNotForSale(Refused):
    """The plan {plan} cannot be bought by the {interval} here; no Stripe price is set for it."""

    code = "plan_not_for_sale"


class PromoCodeUnknown(Refused):
    """There is no active promotion code {promo_code}."""

    code = "promo_code_unknown"


class UnknownCheckout(NotFound):
    """There is no such checkout in this organization."""

    code = "checkout_not_found"


class NoManualPlan(NotFound):
    """No plan is given to this organization by an operator."""

    code = "no_manual_plan"


class EndsInThePast(Refused):
    """A plan is given until an instant that is still to come."""

    code = "ends_in_the_past"


class PromoCodeNotReady(Unavailable):
    """Stripe has not heard of this promo code yet; try again shortly."""

    code = "promo_code_not_ready"


class AlreadySubscribed(Conflict):
    """This organization has a subscription already; change its plan instead."""

    code = "already_subscribed"


class CheckoutInProgress(Conflict):
    """Another checkout of this organization is being opened; ask again shortly."""

    code = "checkout_in_progress"


class NoSubscription(NotFound):
    """This organization has no subscription."""

    code = "no_subscription"


class SubscriptionEnded(Conflict):
    """The subscription has ended; start a new one by checkout."""

    code = "subscription_ended"


class NothingToResume(Conflict):
    """The subscription goes on as it is: nothing was canceled and nothing is paused."""

    code = "nothing_to_resume"


class SamePlan(Conflict):
    """The subscription is on that plan and interval already."""

    code = "same_plan"


class PaymentOutstanding(Conflict):
    """A payment is outstanding; settle it before changing the plan."""

    code = "payment_outstanding"


class CancellationScheduled(Conflict):
    """The subscription is going to be canceled; resume it before changing the plan."""

    code = "cancellation_scheduled"


class UnmappedPrice(Conflict):
    """The subscription bills a price that belongs to no plan here; the operator must look."""

    code = "unmapped_price"


class ChangeInProgress(Conflict):
    """Another change of this subscription is under way; ask again shortly."""

    code = "change_in_progress"
