"""The id that ties an answer, its log lines and its audit entries together."""

from contextvars import ContextVar

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
