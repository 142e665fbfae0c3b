"""What people are told about budgets."""

from __future__ import annotations

from uuid import UUID

from app.budgets.domain import Alert, ThresholdAction
from app.budgets.errors import AlertNotFound
from app.budgets.service.alerts import AlertService
from app.kernel.ids import OrganizationId, encode_id
from app.kernel.pages import MAX_LIMIT, PageRequest
from app.kernel.principal import Permission
from app.kernel.rates import plain
from app.notifications.domain import Cause, Letter, NoticeKind
from app.notifications.service.delivery import Delivery
from app.organizations.domain import PERMISSIONS, Member
from app.organizations.service import MemberService, OrganizationService

_CONSEQUENCES = {
    ThresholdAction.NOTIFY: "Nothing is refused.",
    ThresholdAction.WARN: "Nothing is refused yet.",
    ThresholdAction.SOFT_LIMIT: "Callers without the permission budgets.exceed are refused.",
    ThresholdAction.HARD_LIMIT: "Everything is refused but what an override allows.",
}


class BudgetNotices:
    """Mails to whoever may change an organization's budgets: owners, admins and billing."""

    def __init__(
        self,
        delivery: Delivery,
        organizations: OrganizationService,
        members: MemberService,
        alerts: AlertService,
    ) -> None:
        self._delivery = delivery
        self._organizations = organizations
        self._members = members
        self._alerts = alerts

    async def tell_threshold(
        self, organization_id: OrganizationId, alert_id: UUID, fact_id: UUID
    ) -> None:
        """Tell each of them once, however often this runs."""
        for member in await self._keepers(organization_id):
            cause = Cause(NoticeKind.BUDGET_THRESHOLD, fact_id, organization_id, member.user_id)

            async def compose(member: Member = member) -> Letter | None:
                try:
                    alert = await self._alerts.get(organization_id, alert_id)
                except AlertNotFound:
                    return None
                organization = await self._organizations.get(organization_id)
                return _letter(member, organization.name, alert)

            await self._delivery.send_once(cause, compose)

    async def _keepers(self, organization_id: OrganizationId) -> list[Member]:
        found: list[Member] = []
        request = PageRequest(MAX_LIMIT)
        while True:
            page = await self._members.list_for_organization(organization_id, request)
            found += [
                member
                for member in page.items
                if Permission.BUDGETS_WRITE in PERMISSIONS[member.role]
            ]
            if page.next_cursor is None:
                return found
            request = PageRequest(MAX_LIMIT, page.next_cursor)


def _letter(member: Member, organization: str, alert: Alert) -> Letter:
    return Letter(
        member.email,
        {
            "name": member.name,
            "organization": organization,
            "budget": alert.budget_name,
            "budget_id": encode_id("bud", alert.budget_id),
            "percent": plain(alert.fraction * 100),
            "amount": plain(alert.amount_usd),
            "spent": plain(alert.spent_usd),
            "held": plain(alert.held_usd),
            "since": f"{alert.period_start:%Y-%m-%d}",
            "consequence": "Everything it covers is refused until someone resumes it."
            if alert.is_suspended
            else _CONSEQUENCES[alert.action],
        },
    )
