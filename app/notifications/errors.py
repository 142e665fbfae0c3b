"""What notifications refuse."""

from app.kernel.errors import Conflict, NotFound, Refused, Unavailable


class NoticeNotFound(NotFound):
    """There is no such notice."""

    code = "notice_not_found"


class NoticeNotDead(Conflict):
    """This notice is {state}; only what was refused or given up is sent again."""

    code = "notice_not_dead"
    shown = ("state",)


class CannotBeMuted(Refused):
    """{kind} is always told."""

    code = "cannot_be_muted"


class NotALink(NotFound):
    """This is no link of ours."""

    code = "not_a_link"


class EndpointNotFound(NotFound):
    """There is no such endpoint."""

    code = "endpoint_not_found"


class DeliveryNotFound(NotFound):
    """There is no such delivery."""

    code = "delivery_not_found"


class TooManyEndpoints(Conflict):
    """There are {most} endpoints already; delete one first."""

    code = "too_many_endpoints"


class EndpointOff(Conflict):
    """This endpoint is switched off; switch it on first."""

    code = "endpoint_off"


class SecretUnreadable(Unavailable):
    """The endpoint's secret cannot be read with today's ARAGORA_JWT_SECRET; rotate it."""

    code = "secret_unreadable"
