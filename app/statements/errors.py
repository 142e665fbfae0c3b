"""What statements refuse."""

from app.kernel.errors import Malformed


class StatementBackwards(Malformed):
    """The period ends before it begins."""

    code = "period_is_backwards"


class StatementTooLong(Malformed):
    """More than {most} lines; take a shorter period."""

    code = "statement_too_long"
    shown = ("most",)
