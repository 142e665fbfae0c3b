"""What notifications refuse."""

from app.kernel.errors import NotFound


class NoticeNotFound(NotFound):
    """There is no such notice."""

    code = "notice_not_found"
