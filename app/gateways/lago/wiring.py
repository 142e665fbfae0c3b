"""Whether a deployment has a Lago."""

from app.gateways.lago.gateway import LagoGateway
from app.gateways.lago.live import LiveLago
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings


def register(services: Services) -> None:
    """The gateway if the settings have one, unless a test brought its own."""
    settings = services[Settings]
    if LagoGateway in services or settings.lago_api_url is None or settings.lago_api_key is None:
        return
    lago = LiveLago(settings.lago_api_url, settings.lago_api_key.get_secret_value())
    services.add(LagoGateway, lago)  # type: ignore[type-abstract]
    services[Lifecycle].parts["lago"] = "real"
    services[Lifecycle].add(_nothing, lago.close)


async def _nothing() -> None:
    return None
