"""Bad days on order: the next calls fail, are slow, or lose their answer."""

from dataclasses import dataclass

KINDS = (
    "rate_limit",
    "server_error",
    "slow",
    "lost_answer",
    "error_text",
    "html",
    "truncated",
    "reset",
    "lost_connection",
)
AFTERWARDS = ("lost_answer", "truncated", "lost_connection")
"""Those that let the work be done and spoil only the answer."""


@dataclass
class Fault:
    """What goes wrong with the next *count* calls whose path begins with *path*.

    `lost_answer`, `truncated` and `lost_connection` do the work and then answer 500, with half
    an answer or not at all: the cases that idempotency keys are for.
    """

    kind: str
    count: int = 1
    seconds: float = 1.0
    path: str = "/v"
    method: str | None = None


class Faults:
    def __init__(self) -> None:
        self.ordered: list[Fault] = []

    def take(self, method: str, path: str) -> Fault | None:
        """The fault this call meets, used up by one."""
        for fault in self.ordered:
            if path.startswith(fault.path) and fault.method in (None, method):
                fault.count -= 1
                if fault.count <= 0:
                    self.ordered.remove(fault)
                return fault
        return None
