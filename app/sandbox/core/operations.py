"""One API call as data: where it lives, what it takes, what it does."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from app.sandbox.core.params import Doc, Fields
from app.sandbox.core.sandbox import Sandbox

Handler = Callable[..., Doc]


@dataclass(frozen=True)
class Operation:
    """`METHOD /v1/path/{id}`: handled by a plain function inside one unit."""

    method: str
    path: str
    handler: Handler
    takes: Fields
    contract: str
    """The SDK's own name for these parameters; tests hold *takes* against it."""
    pattern: re.Pattern[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.path)
        object.__setattr__(self, "pattern", re.compile(pattern + r"\Z"))

    def run(self, sandbox: Sandbox, params: Doc, names: dict[str, str]) -> Doc:
        return self.handler(sandbox, params, **names)
