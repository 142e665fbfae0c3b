"""What endpoints are told, queued while it happens."""

from __future__ import annotations

import json
from collections.abc import Sequence

from app.infra.jobs.queue import NewJob, encode_payload
from app.kernel.clock import Clock
from app.notifications.domain import Facts, NoticeKind, subject_of
from app.notifications.kinds import RULES, cause_of, job_of
from app.notifications.service.endpoints import EndpointService

_TOLD = {job_of(kind): kind for kind, rule in RULES.items() if rule.event is not None}


class EndpointOutbox:
    """A witness of units: a message has its place in the queue from the commit that it is about.

    What is paid after it was issued is therefore told after it, however many workers there are.
    """

    def __init__(self, endpoints: EndpointService, clock: Clock) -> None:
        self._endpoints = endpoints
        self._clock = clock

    async def take(self, jobs: Sequence[NewJob]) -> None:
        """Queue a message for each job that tells something endpoints may hear."""
        for job in jobs:
            kind = _TOLD.get(job.name)
            if kind is not None:
                await self._queue(kind, json.loads(encode_payload(job.payload)))

    async def _queue(self, kind: NoticeKind, facts: Facts) -> None:
        organization_id, event = subject_of(facts), RULES[kind].event
        if organization_id is not None and event is not None:
            await self._endpoints.announce(
                organization_id, event, cause_of(kind, facts), facts, self._clock.now()
            )
