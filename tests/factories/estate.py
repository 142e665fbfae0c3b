"""One organization with one of everything, for tests that walk all paths."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from tests.factories.billing import a_credited_invoice, a_top_up
from tests.factories.people import Owner, an_email, an_owner
from tests.factories.subscriptions import a_visit
from tests.support.service import Service


@dataclass
class Estate:
    """The owner, and an existing id for every path parameter of the API."""

    owner: Owner
    ids: dict[str, str]

    def id_for(self, path: str, parameter: str) -> str:
        """Raises `LookupError` for a parameter that nobody has made an example of."""
        if parameter not in self.ids:
            raise LookupError(f"make one of {parameter} in tests/factories/estate.py for {path}")
        return self.ids[parameter]


async def an_estate(service: Service) -> Estate:
    owner = await an_owner(service, plan="professional")
    http = owner.client
    key = await http.post("/api/v1/auth/api-keys", json={"name": "An estate's"})
    sessions = await http.get("/api/v1/auth/sessions")
    invite = await http.post(
        f"/api/v1/organizations/{owner.id}/invites", json={"email": an_email(), "role": "member"}
    )
    event = await http.post(
        "/api/v1/usage/events",
        json={
            "id": "an-event",
            "type": "tokens",
            "provider": "openai",
            "model": "gpt-4o",
            "tokens_in": 10,
            "tokens_out": 1,
            "occurred_at": (service.clock.now() - timedelta(minutes=1)).isoformat(),
        },
    )
    reservation = await http.post("/api/v1/usage/reservations", json={"metric": "debates"})
    budget = await http.post("/api/v1/budgets", json={"name": "An estate's", "amount_usd": "10"})
    override = await http.post(
        f"/api/v1/budgets/{budget.json()['id']}/overrides",
        json={"duration_hours": 1, "reason": "an example"},
    )
    debate = await http.put("/api/v1/debates/a-debate/budget", json={"amount_usd": "1"})
    endpoint = await http.post(
        "/api/v1/notifications/endpoints", json={"url": "https://example.com/hooks"}
    )
    ping = await http.post(f"/api/v1/notifications/endpoints/{endpoint.json()['id']}/ping")
    invoice_id, credit_note_id = await a_credited_invoice(service, owner)
    top_up_id = await a_top_up(service, owner)
    checkout_id = await a_visit(service, owner.organization_id)
    me = await http.get("/api/v1/auth/me")
    for answer in (
        key,
        sessions,
        invite,
        event,
        reservation,
        budget,
        override,
        debate,
        endpoint,
        ping,
        me,
    ):
        assert answer.is_success, answer.text
    return Estate(
        owner,
        {
            "organization_id": owner.id,
            "user_id": me.json()["id"],
            "session_id": sessions.json()["data"][0]["id"],
            "key_id": key.json()["id"],
            "invite_id": invite.json()["id"],
            "event_id": event.json()["id"],
            "reservation_id": reservation.json()["id"],
            "budget_id": budget.json()["id"],
            "override_id": override.json()["id"],
            "debate_id": "a-debate",
            "invoice_id": invoice_id,
            "credit_note_id": credit_note_id,
            "top_up_id": top_up_id,
            "checkout_id": checkout_id,
            "endpoint_id": endpoint.json()["id"],
            "delivery_id": ping.json()["id"],
        },
    )
