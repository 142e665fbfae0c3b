"""Payments that fail, need somebody, or came in after all."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.invoices.domain import InvoiceStatus
from app.invoices.service.reading import InvoiceService
from app.kernel.clock import Clock
from app.kernel.ids import OrganizationId
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import Compose
from app.notifications.words import amount, instant, instant_of, month
from app.subscriptions.domain import ENDED, SubscriptionView
from app.subscriptions.service import SubscriptionService

_GOES_WELL = frozenset({"active", "trialing"})
_SETTLED = frozenset({InvoiceStatus.PAID, InvoiceStatus.VOID})


class PaymentLetters:
    """A failure is not told once its invoice is settled, nor the end of a grace that was ended."""

    def __init__(
        self, subscriptions: SubscriptionService, invoices: InvoiceService, clock: Clock
    ) -> None:
        self._subscriptions = subscriptions
        self._invoices = invoices
        self._clock = clock

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.PAYMENT_FAILED: self.payment_failed,
            NoticeKind.PAYMENT_ACTION_REQUIRED: self.payment_action_required,
            NoticeKind.PAYMENT_RECOVERED: self.payment_recovered,
            NoticeKind.GRACE_ENDING: self.grace_ending,
            NoticeKind.GRACE_ENDED: self.grace_ended,
            NoticeKind.TRIAL_ENDING: self.trial_ending,
            NoticeKind.PAYMENT_METHOD_EXPIRING: self.payment_method_expiring,
        }

    async def payment_failed(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        if "invoice_id" in facts:
            return await self._own_failed(told)
        view = await self._view(told)
        if view.status in ENDED or await self._is_settled(told, view):
            return None
        next_attempt_at = facts["next_attempt_at"]
        return {
            "attempt": int(facts["attempt"]),
            "amount": amount(facts["amount_due"], facts["currency"]),
            "next_attempt": instant(instant_of(next_attempt_at)) if next_attempt_at else None,
            "grace_until": instant(view.grace_until) if view.grace_until else None,
            "plan": view.plan,
            "pay_url": facts["pay_url"] or view.pay_url,
        }

    async def payment_action_required(self, told: Told) -> Mapping[str, object] | None:
        if "invoice_id" in told.facts:
            is_over = await self._own_is_settled(told)
            return None if is_over else {"pay_url": told.facts["pay_url"]}
        view = await self._view(told)
        if view.status in ENDED or await self._is_settled(told, view):
            return None
        return {"pay_url": told.facts["pay_url"] or view.pay_url}

    async def _own_failed(self, told: Told) -> Mapping[str, object] | None:
        """Of an invoice of our own: nobody's plan depends on it."""
        facts = told.facts
        if await self._own_is_settled(told):
            return None
        next_attempt_at = facts["next_attempt_at"]
        return {
            "attempt": int(facts["attempt"]),
            "amount": amount(facts["amount_due"], facts["currency"]),
            "next_attempt": instant(instant_of(next_attempt_at)) if next_attempt_at else None,
            "grace_until": None,
            "plan": None,
            "pay_url": facts["pay_url"],
        }

    async def _own_is_settled(self, told: Told) -> bool:
        invoice = await self._invoices.get(_organization(told), UUID(told.facts["invoice_id"]))
        return invoice.status in _SETTLED

    async def payment_recovered(self, told: Told) -> Mapping[str, object] | None:
        view = await self._view(told)
        return {"plan": view.plan} if view.status in _GOES_WELL else None

    async def grace_ending(self, told: Told) -> Mapping[str, object] | None:
        view = await self._view(told)
        announced = instant_of(told.facts["grace_until"])
        if view.grace_until != announced or self._clock.now() >= announced:
            return None
        return {"plan": view.plan, "grace_until": instant(announced), "pay_url": view.pay_url}

    async def grace_ended(self, told: Told) -> Mapping[str, object] | None:
        view = await self._view(told)
        if view.status in _GOES_WELL:
            return None
        ended_at = instant(instant_of(told.facts["ended_at"]))
        return {
            "plan": view.plan,
            "ended_at": ended_at,
            "has_ended": view.status in ENDED,
            "pay_url": view.pay_url,
        }

    async def trial_ending(self, told: Told) -> Mapping[str, object] | None:
        view = await self._view(told)
        trial_end = instant_of(told.facts["trial_end"])
        if view.status != "trialing" or view.trial_end != trial_end:
            return None
        priced = view.amount and view.currency
        return {
            "plan": view.plan,
            "trial_end": instant(trial_end),
            "ends": view.cancel_at_period_end,
            "amount": amount(view.amount or 0, view.currency or "usd") if priced else None,
            "interval": view.interval,
        }

    async def payment_method_expiring(self, told: Told) -> Mapping[str, object] | None:
        view = await self._view(told)
        if view.status == "none" or view.status in ENDED:
            return None
        facts = told.facts
        return {
            "brand": facts["brand"],
            "last4": facts["last4"],
            "month": month(facts["exp_year"], facts["exp_month"]),
        }

    async def _view(self, told: Told) -> SubscriptionView:
        return await self._subscriptions.current(_organization(told))

    async def _is_settled(self, told: Told, view: SubscriptionView) -> bool:
        """Whether nothing is owed for it any more, whichever of our mirrors heard first."""
        invoice = await self._invoices.find_mirrored(
            _organization(told), told.facts["stripe_invoice_id"]
        )
        if invoice is not None:
            return invoice.status in _SETTLED
        return view.status in _GOES_WELL or view.status in ENDED


def _organization(told: Told) -> OrganizationId:
    return OrganizationId(UUID(told.facts["organization_id"]))
