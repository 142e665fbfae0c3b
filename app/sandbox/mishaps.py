"""`/_sandbox/`: what goes wrong when a test says so: disputes, refunds that fail, bad answers."""

from collections.abc import Callable

from starlette.requests import Request

from app.sandbox.billing import disputing, refunding
from app.sandbox.controlling import Controls, read
from app.sandbox.core import params as reading
from app.sandbox.core.faults import KINDS, Fault, Faults
from app.sandbox.core.params import Doc, Fields, Flag, Text, Whole, one_of
from app.sandbox.core.refusals import required
from app.sandbox.core.sandbox import Sandbox, public

_FAULT = Fields(
    {
        "kind": one_of(*KINDS),
        "count": Whole(least=1),
        "seconds": reading.Number(most=60),
        "path": Text(),
        "method": one_of("GET", "POST", "DELETE"),
    },
    needs=("kind",),
)
_DISPUTE = Fields(
    {
        "charge": Text(),
        "payment_intent": Text(),
        "reason": one_of(*disputing.REASONS),
        "inquiry": Flag(),
        "amount": Whole(least=1),
    }
)
_DISPUTE_STATUS = Fields(
    {"status": one_of("won", "lost", "warning_closed", "needs_response")}, needs=("status",)
)
_REFUND_STATUS = Fields({"status": one_of("failed", "succeeded")}, needs=("status",))


class Mishaps(Controls):
    """Controls over single things that do not go as they should."""

    def __init__(self, sandbox: Sandbox, faults: Faults, after: Callable[[], object]) -> None:
        super().__init__(sandbox, after)
        self._faults = faults
        self.routes = [
            self._route("POST", "/disputes", self._open_dispute),
            self._route("POST", "/disputes/{id}", self._move_dispute),
            self._route("POST", "/refunds/{id}", self._move_refund),
            self._route("GET", "/faults", self._list_faults),
            self._route("POST", "/faults", self._order_fault),
            self._route("DELETE", "/faults", self._clear_faults),
        ]

    def _open_dispute(self, request: Request, sent: Doc) -> Doc:
        """Let the holder of a card dispute a payment, or only ask about it."""
        asked = read(_DISPUTE, sent)
        sandbox = self._sandbox
        with sandbox.unit():
            if "payment_intent" in asked:
                intent = sandbox.named("payment_intent", asked["payment_intent"], "payment_intent")
                asked["charge"] = intent["latest_charge"]
            if not asked.get("charge"):
                raise required("charge")
            dispute = disputing.open_(
                sandbox,
                sandbox.named("charge", asked["charge"], "charge"),
                asked.get("reason", "fraudulent"),
                inquiry=asked.get("inquiry", False),
                amount=asked.get("amount"),
            )
        answer: Doc = public(dispute)
        return answer

    def _move_dispute(self, request: Request, sent: Doc) -> Doc:
        """End a dispute, or make one of an inquiry."""
        status = read(_DISPUTE_STATUS, sent)["status"]
        with self._sandbox.unit():
            dispute = self._sandbox.get("dispute", request.path_params["id"])
            if status == "needs_response":
                disputing.escalate(self._sandbox, dispute)
            else:
                disputing.close(self._sandbox, dispute, status)
        answer: Doc = public(dispute)
        return answer

    def _move_refund(self, request: Request, sent: Doc) -> Doc:
        """Let a refund arrive, or come back."""
        status = read(_REFUND_STATUS, sent)["status"]
        with self._sandbox.unit():
            refund = self._sandbox.get("refund", request.path_params["id"])
            refunding.settle(self._sandbox, refund, status)
        answer: Doc = public(refund)
        return answer

    def _list_faults(self, request: Request, sent: Doc) -> Doc:
        return {"data": [vars(fault) for fault in self._faults.ordered]}

    def _order_fault(self, request: Request, sent: Doc) -> Doc:
        asked = read(_FAULT, sent)
        if "seconds" in asked:
            asked["seconds"] = float(asked["seconds"])
        self._faults.ordered.append(Fault(**asked))
        return self._list_faults(request, sent)

    def _clear_faults(self, request: Request, sent: Doc) -> Doc:
        self._faults.ordered.clear()
        return self._list_faults(request, sent)
