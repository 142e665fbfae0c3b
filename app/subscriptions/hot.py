"""The read that every page of a customer begins with."""

from __future__ import annotations

from datetime import datetime

from pydantic_core import to_json

from app.infra.http.lane import HotAnswer, HotOperation, HotRequest
from app.infra.http.provide import Services
from app.infra.http.schemas import rfc3339
from app.kernel.principal import Permission
from app.subscriptions.domain import SubscriptionView
from app.subscriptions.service import SubscriptionService


async def _subscription(services: Services, request: HotRequest) -> HotAnswer:
    """What the caller's organization holds and what is granted now."""
    view = await services[SubscriptionService].current(request.principal.organization)
    return 200, _json(view)


SUBSCRIPTION = HotOperation(Permission.BILLING_READ, _subscription, is_light=True)


def _json(view: SubscriptionView) -> bytes:
    """`SubscriptionOut`, without the model."""
    change = view.pending_change
    return to_json(
        {
            "tier": view.tier,
            "plan": view.plan,
            "status": view.status,
            "current_period_start": _instant(view.period.start if view.period else None),
            "current_period_end": _instant(view.period.end if view.period else None),
            "cancel_at_period_end": view.cancel_at_period_end,
            "cancel_at": _instant(view.cancel_at),
            "trial_end": _instant(view.trial_end),
            "amount": view.amount,
            "currency": view.currency,
            "interval": view.interval,
            "payment_state": view.payment_state.value,
            "grace_until": _instant(view.grace_until),
            "pending_change": change
            and {
                "plan": change.plan,
                "interval": change.interval,
                "effective_at": _instant(change.effective_at),
                "reason": change.reason.value,
            },
            "pause": view.pause
            and {
                "kind": view.pause.kind.value,
                "reason": view.pause.reason,
                "resumes_at": _instant(view.pause.resumes_at),
            },
            "pay_url": view.pay_url,
            "features": sorted(view.features),
        }
    )


def _instant(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(value)
