"""What the people who run the platform are told."""

from __future__ import annotations

from uuid import UUID, uuid5

from app.kernel.ids import OrganizationId
from app.notifications.domain import Cause, Letter, NoticeKind
from app.notifications.service.delivery import Delivery
from app.organizations.service import OrganizationService
from app.users.domain import Person
from app.users.service import UserService


class OperatorNotices:
    """Mails to every operator; each has a notice of their own, so one refusal stops nobody's."""

    def __init__(
        self, delivery: Delivery, users: UserService, organizations: OrganizationService
    ) -> None:
        self._delivery = delivery
        self._users = users
        self._organizations = organizations

    async def tell_model_unpriced(
        self,
        organization_id: OrganizationId,
        provider: str,
        model: str,
        events: int,
        fact_id: UUID,
    ) -> None:
        """Usage of a model waits for a price. Tells each operator once, however often it runs."""
        for operator in await self._users.list_operators():

            async def compose(operator: Person = operator) -> Letter | None:
                organization = await self._organizations.get(organization_id)
                return Letter(
                    operator.email,
                    {
                        "name": operator.name,
                        "organization": organization.name,
                        "provider": provider or "(none)",
                        "model": model or "(none)",
                        "events": events,
                    },
                )

            cause = Cause(NoticeKind.MODEL_UNPRICED, uuid5(fact_id, str(operator.id)))
            await self._delivery.send_once(cause, compose)
