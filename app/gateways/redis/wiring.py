"""Whether a deployment has a Redis."""

from app.gateways.redis.gateway import CountersGateway
from app.gateways.redis.live import LiveCounters
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings


def register(services: Services) -> None:
    """The gateway if the settings have one, unless a test brought its own."""
    url = services[Settings].redis_url
    if CountersGateway in services or url is None:
        return
    counters = LiveCounters(url.get_secret_value())
    services.add(CountersGateway, counters)  # type: ignore[type-abstract]
    services[Lifecycle].parts["redis"] = "real"
    services[Lifecycle].add(_nothing, counters.close)


async def _nothing() -> None:
    return None
