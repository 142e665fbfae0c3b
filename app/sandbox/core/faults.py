"""Bad days on order: the next calls fail, are slow, or lose their answer."""

from dataclasses import dataclass

KINDS = ("rate_limit", "server_error", "slow", "lost_answer")


@dataclass
class Fault:
    """What goes wrong with the next *count* calls whose path begins with *path*.

    `lost_answer` does the work and then answers 500: the case that idempotency keys are for.
    """

    kind: str
    count: int = 1
    seconds: float = 1.0
    path: str = "/v1/"
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
