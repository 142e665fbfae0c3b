"""What `admin` refuses."""

from app.kernel.errors import NotFound


class NoOutbox(NotFound):
    """Mail goes out by SMTP here; there is no local outbox to read."""

    code = "no_outbox"
