"""What can go wrong, in a handful of kinds. Only `infra/http/problems.py` knows status codes.

A feature's error picks a kind, sets a stable `code`, and its docstring is its message; names in
braces are filled from the keywords it was raised with. Those named in `shown` travel to the
caller as extra members of the problem document.
"""

from __future__ import annotations

import inspect
from typing import ClassVar


class BillingError(Exception):
    """Something the service says no to."""

    code: ClassVar[str] = "error"
    shown: ClassVar[tuple[str, ...]] = ()

    def __init__(self, **context: object) -> None:
        self.context = context
        super().__init__(self.message)

    @property
    def message(self) -> str:
        first_paragraph = inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0]
        text = " ".join(first_paragraph.split())
        return text.format_map(self.context) if "{" in text else text

    @property
    def extra(self) -> dict[str, object]:
        """The members that the problem document shows beside code and detail."""
        return {name: self.context[name] for name in self.shown if name in self.context}


class NotFound(BillingError):
    """There is nothing here by that name."""

    code = "not_found"


class Gone(BillingError):
    """That was here once, and is kept elsewhere."""

    code = "gone"


class Conflict(BillingError):
    """That clashes with what is already there."""

    code = "conflict"


class Malformed(BillingError):
    """The request cannot be understood: {reason}."""

    code = "malformed"


class Unreadable(BillingError):
    """The request is not what it claims to be."""

    code = "unreadable"


class NotAuthenticated(BillingError):
    """Sign in first: no valid access token, API key or session came with the request."""

    code = "not_authenticated"


class NotAllowed(BillingError):
    """You may not do that."""

    code = "not_allowed"


class Refused(BillingError):
    """A rule says no."""

    code = "refused"


class PaymentRequired(BillingError):
    """The plan, quota, budget or credit does not cover this."""

    code = "payment_required"


class LimitReached(BillingError):
    """Too many requests; wait before the next one."""

    code = "rate_limited"

    @property
    def retry_after_seconds(self) -> int:
        value = self.context.get("retry_after_seconds", 1)
        return value if isinstance(value, int) else 1


class Unavailable(BillingError):
    """The service cannot answer just now; try again shortly."""

    code = "unavailable"

    @property
    def retry_after_seconds(self) -> int:
        value = self.context.get("retry_after_seconds", 1)
        return value if isinstance(value, int) else 1
