"""What `admin` refuses."""

from app.kernel.errors import Conflict, NotFound


class NoOutbox(NotFound):
    """Mail goes out by SMTP here; there is no local outbox to read."""

    code = "no_outbox"


class SuspendsOneself(Conflict):
    """Whoever runs the platform does not lock themselves out of it."""

    code = "suspends_oneself"
