"""Which mail gateway a deployment has: SMTP where a server is set, else the local outbox."""

import structlog

from app.gateways.mail.gateway import MailGateway
from app.gateways.mail.outbox import OutboxMail
from app.gateways.mail.smtp import SmtpMail, SmtpServer
from app.infra.http.provide import Services
from app.infra.lifecycle import Lifecycle
from app.infra.settings import Settings
from app.kernel.clock import Clock

log = structlog.get_logger(__name__)


def register(services: Services) -> None:
    """Leaves a gateway that is registered already in place, and says in `/health` which it is."""
    settings = services[Settings]
    clock: Clock = services[Clock]  # type: ignore[type-abstract]
    parts = services[Lifecycle].parts
    if MailGateway in services:
        parts["mail"] = "memory"
    elif settings.smtp_host is not None:
        password = settings.smtp_password
        server = SmtpServer(
            host=settings.smtp_host,
            port=settings.smtp_port,
            sender=settings.smtp_from,
            user=settings.smtp_user,
            password=password.get_secret_value() if password else None,
        )
        services.add(MailGateway, SmtpMail(server, clock))  # type: ignore[type-abstract]
        parts["mail"] = "smtp"
    else:
        folder = settings.data_dir / "outbox"
        outbox = services.add(OutboxMail, OutboxMail(folder, settings.smtp_from, clock))
        services.add(MailGateway, outbox)  # type: ignore[type-abstract]
        parts["mail"] = "outbox"
        if settings.env == "production":
            log.warning("mail.no_server", folder=str(folder))
