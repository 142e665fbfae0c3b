"""Which event wakes which handler.

A handler fetches outside any unit and answers with what is to be written inside the unit that
marks the event. The payload is a hint: which object to ask Stripe about, and when it happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from app.webhooks.service.topics.answers import Handler


class Topic(Protocol):
    """Events of one kind of object and their handlers."""

    def table(self) -> Mapping[str, Handler]: ...


def handlers_of(*topics: Topic) -> Mapping[str, Handler]:
    """Every event type and its one handler; what is not here is kept and ignored.

    Thin events are listed by the name of their twin (`canonical_type`): each of the two asks
    anew, and the second finds nothing to change.
    """
    found: dict[str, Handler] = {}
    for topic in topics:
        for kind, handler in topic.table().items():
            if kind in found:
                raise LookupError(f"two handlers for {kind}")
            found[kind] = handler
    return found
