"""How sinks are built: all of them, each with or without somebody to tell."""

from app.gateways.lago.gateway import LagoGateway
from app.gateways.redis.gateway import CountersGateway
from app.infra.db.unit_of_work import UnitOfWork
from app.infra.http.provide import Services
from app.kernel.clock import Clock
from app.sinks.repository import SinkRepository
from app.sinks.service.attempts import Attempts
from app.sinks.service.counters import CounterSink
from app.sinks.service.lago import LagoSink
from app.usage.service.feeds import UsageFeeds


def register(services: Services) -> None:
    work, feeds = services[UnitOfWork], services[UsageFeeds]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    sinks = SinkRepository(work)
    attempts = services.add(Attempts, Attempts(work, sinks, clock))
    lago: LagoGateway | None = None
    if LagoGateway in services:
        lago = services[LagoGateway]  # type: ignore[type-abstract]
    counters: CountersGateway | None = None
    if CountersGateway in services:
        counters = services[CountersGateway]  # type: ignore[type-abstract]
    services.add(LagoSink, LagoSink(work, feeds, attempts, sinks, lago, clock))
    services.add(CounterSink, CounterSink(work, feeds, attempts, counters))
