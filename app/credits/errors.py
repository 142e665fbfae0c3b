"""What `credits` refuses."""

from app.kernel.errors import Conflict, Malformed, NotFound


class GrantNotFound(NotFound):
    """There is no such grant of credit."""

    code = "credit_grant_not_found"


class GrantOver(Malformed):
    """Credit that expires does so in the future."""

    code = "credit_grant_over"


class TopUpUnderway(Conflict):
    """A top-up of this currency is being paid; wait for it."""

    code = "top_up_underway"
