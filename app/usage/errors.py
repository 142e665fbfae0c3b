"""What `usage` refuses."""

from app.kernel.errors import Conflict, Gone, Malformed, NotFound, PaymentRequired, Unavailable


class EventConflict(Conflict):
    """An event with the id {id} was recorded before with other content; the first stays."""

    code = "event_conflict"


class EventIdMissing(Malformed):
    """An event needs an id, or the request an Idempotency-Key header."""

    code = "event_id_missing"


class EventNotStorable(Malformed):
    """This event cannot be stored: one of its values is out of range."""

    code = "event_not_storable"


class EventNotFound(NotFound):
    """There is no such usage event."""

    code = "usage_event_not_found"


class QuotaExceeded(PaymentRequired):
    """The plan's limit for {metric} is {limit} in this window, which does not allow {requested}
    more."""

    code = "quota_exceeded"
    shown = (
        "metric",
        "limit",
        "used",
        "held",
        "remaining",
        "requested",
        "resets_at",
        "plan",
        "upgrade_to",
    )


class UsageOverloaded(Unavailable):
    """More events arrive than the database can take; nothing was recorded. Try again shortly."""

    code = "usage_overloaded"


class UnknownMetric(NotFound):
    """There is no metric {metric} in the catalog."""

    code = "unknown_metric"


class PeriodTurnedAround(Malformed):
    """until must come after since."""

    code = "period_turned_around"


class FinerThanKept(Malformed):
    """Usage before {kept_from:%Y-%m-%d} is kept by day; ask for whole days of it."""

    code = "finer_than_kept"
    shown = ("kept_from",)


class EventArchived(Gone):
    """Events of {month} are archived: they count in every sum, and can no longer be shown."""

    code = "event_archived"
    shown = ("month",)


class MonthNotArchivable(Conflict):
    """{month} cannot be archived: {reason}."""

    code = "month_not_archivable"


class ArchiveNotFaithful(Conflict):
    """The file {file} is not what the month holds ({difference}); nothing was dropped."""

    code = "archive_not_faithful"


class StretchTooLong(Malformed):
    """By the hour, this is shown for {days} days at most; ask for a shorter stretch or for days."""

    code = "stretch_too_long"
    shown = ("days",)


class UsageUnpriced(Conflict):
    """Usage of this period waits for a price (events: {events}); it can be closed when it has one."""

    code = "usage_unpriced"
    shown = ("events", "models")


class SpendLimitNotFound(NotFound):
    """There is no such limit on spending."""

    code = "spend_limit_not_found"


class BudgetExceeded(PaymentRequired):
    """A budget refuses this ({reason} at {limit} USD): {spent} are spent, {held} held."""

    code = "budget_exceeded"
    shown = (
        "budget_id",
        "scope",
        "subject",
        "reason",
        "limit",
        "spent",
        "held",
        "remaining",
        "requested",
    )


class InsufficientCredits(PaymentRequired):
    """Prepaid credit does not cover this: {used} USD of {limit} are used, {held} held."""

    code = "insufficient_credits"
    shown = ("limit", "used", "held", "remaining", "requested", "upgrade_to")


class ReservationNotFound(NotFound):
    """There is no such reservation."""

    code = "reservation_not_found"


class NothingToReserve(Malformed):
    """A reservation needs a metric, an estimated_cost_usd, or a provider and model with tokens."""

    code = "nothing_to_reserve"


class EstimateNotPriced(Malformed):
    """There is no price for {provider}/{model}; send estimated_cost_usd instead of its tokens."""

    code = "estimate_not_priced"


class ParentOver(Conflict):
    """The parent reservation is {state}; nothing can be taken out of it any more."""

    code = "parent_reservation_over"
    shown = ("state",)


class ReservationsTooDeep(Conflict):
    """Reservations nest at most {depth} deep."""

    code = "reservations_too_deep"


class ReservationReleased(Conflict):
    """This reservation was released; nothing was recorded. Send the event to /usage/events."""

    code = "reservation_released"


class ReservationCommitted(Conflict):
    """This reservation was committed by another event; nothing was recorded."""

    code = "reservation_committed"


class EnvelopeExceeded(PaymentRequired):
    """Of the {metric} of the parent reservation {remaining} of {limit} are left, which does not
    allow {requested} more."""

    code = "budget_exceeded"
    shown = ("scope", "parent_id", "metric", "limit", "remaining", "requested")
