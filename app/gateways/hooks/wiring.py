"""Who may be called from this deployment."""

from app.gateways.hooks.chat import ChatWebhook
from app.gateways.hooks.gateway import ChatGateway, HookGateway
from app.gateways.hooks.live import LiveHooks
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings


def register(services: Services) -> None:
    """Leaves gateways that are registered already in place."""
    settings, lifecycle = services[Settings], services[Lifecycle]
    if HookGateway not in services:
        hooks = LiveHooks(
            allow_private=settings.private_endpoints, allow_plain=settings.env != "production"
        )
        services.add(HookGateway, hooks)  # type: ignore[type-abstract]
        lifecycle.add(_nothing, hooks.close)
    if ChatGateway not in services and settings.notification_webhook is not None:
        # Whoever runs the deployment chose this address, and it may well be inside.
        trusted = LiveHooks(allow_private=True, allow_plain=True)
        url = settings.notification_webhook.get_secret_value()
        services.add(ChatGateway, ChatWebhook(url, trusted))  # type: ignore[type-abstract]
        lifecycle.add(_nothing, trusted.close)
        lifecycle.parts["notification_webhook"] = "real"


async def _nothing() -> None:
    return None
