"""Quotas and budgets that fill up."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.budgets.domain import ThresholdAction
from app.budgets.errors import AlertNotFound
from app.budgets.service.alerts import AlertService
from app.kernel.entitlements import LimitPolicy
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.rates import plain
from app.notifications.domain import NoticeKind, Told
from app.notifications.service.letters import Compose
from app.notifications.words import instant, instant_of
from app.usage.domain import Quota
from app.usage.errors import UnknownMetric
from app.usage.service.usage import UsageService

_BUDGETS = {
    ThresholdAction.NOTIFY: "Nothing is refused.",
    ThresholdAction.WARN: "Nothing is refused yet.",
    ThresholdAction.SOFT_LIMIT: "Callers without the permission budgets.exceed are refused.",
    ThresholdAction.HARD_LIMIT: "Everything is refused but what an override allows.",
}
_FULL = {
    LimitPolicy.HARD: "Until then more is refused where it is enforced.",
    LimitPolicy.SOFT: "More is recorded, and nothing is refused.",
    LimitPolicy.OVERAGE: "More is recorded and charged.",
}


class LimitLetters:
    """A quota that a higher plan has widened since is no news."""

    def __init__(self, usage: UsageService, alerts: AlertService) -> None:
        self._usage = usage
        self._alerts = alerts

    @property
    def composers(self) -> Mapping[NoticeKind, Compose]:
        return {
            NoticeKind.QUOTA_THRESHOLD: self.quota_threshold,
            NoticeKind.BUDGET_THRESHOLD: self.budget_threshold,
        }

    async def quota_threshold(self, told: Told) -> Mapping[str, object] | None:
        facts = told.facts
        percent = int(facts["percent"])
        try:
            quota = await self._usage.quota(_organization(told), facts["metric"])
        except UnknownMetric:
            return None
        is_over = quota.window.start != instant_of(facts["window_start"])
        if is_over or quota.limit is None or quota.used * 100 < quota.limit * percent:
            return None
        return {
            "metric": quota.metric.replace("_", " "),
            "percent": percent,
            "used": plain(quota.used),
            "limit": plain(quota.limit),
            "resets": instant(quota.window.end),
            "consequence": _quota_consequence(quota),
        }

    async def budget_threshold(self, told: Told) -> Mapping[str, object] | None:
        try:
            alert = await self._alerts.get(_organization(told), UUID(told.facts["alert_id"]))
        except AlertNotFound:
            return None
        return {
            "budget": alert.budget_name,
            "budget_id": encode_id("bud", alert.budget_id),
            "percent": plain(alert.fraction * 100),
            "amount": plain(alert.amount_usd),
            "spent": plain(alert.spent_usd),
            "held": plain(alert.held_usd),
            "since": f"{alert.period_start:%Y-%m-%d}",
            "consequence": "Everything it covers is refused until someone resumes it."
            if alert.is_suspended
            else _BUDGETS[alert.action],
        }


def _quota_consequence(quota: Quota) -> str:
    if quota.limit is not None and quota.used < quota.limit:
        return "Nothing is refused yet."
    return _FULL[quota.policy]


def _organization(told: Told) -> OrganizationId:
    return OrganizationId(UUID(told.facts["organization_id"]))
