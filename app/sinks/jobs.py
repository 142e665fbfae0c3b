"""Background work of sinks."""

from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload
from app.sinks.service.counters import CounterSink
from app.sinks.service.lago import LagoSink


async def tell_lago(payload: Payload, services: Services) -> None:
    """Send Lago what was recorded, where there is a Lago."""
    await services[LagoSink].deliver()


async def put_counters(payload: Payload, services: Services) -> None:
    """Put changed figures into Redis, where there is one."""
    await services[CounterSink].deliver()


JOBS = {"sinks.tell_lago": tell_lago, "sinks.put_counters": put_counters}
