"""Which fact wakes which jobs. A fact and its jobs are one commit; see `infra/db/unit_of_work.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from app.infra.jobs.queue import NewJob
from app.kernel.facts import Fact

SUBSCRIPTIONS: dict[type[Fact], tuple[str, ...]] = {}


def followers(facts: Sequence[Fact]) -> list[NewJob]:
    """One job per fact and subscriber, carrying the fact's fields."""
    return [
        NewJob(name=job, payload={item.name: getattr(fact, item.name) for item in fields(fact)})
        for fact in facts
        for job in SUBSCRIPTIONS.get(type(fact), ())
    ]
