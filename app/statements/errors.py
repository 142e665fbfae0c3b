"""What statements refuse."""

from app.kernel.errors import Malformed


class StatementTooLong(Malformed):
    """More than {most} lines; take a shorter period."""

    code = "statement_too_long"
    shown = ("most",)
