"""What stops a notice for the moment."""

from app.kernel.errors import Unavailable


class NoticeUnderway(Unavailable):
    """Another worker is sending this notice; look again when it is done."""

    code = "notice_underway"
