"""`/_sandbox/`: the post office: what was sent, and what a test does to what waits."""

from collections.abc import Callable

from starlette.requests import Request

from app.sandbox.controlling import Controls, read
from app.sandbox.core import ids
from app.sandbox.core.deliveries import Deliverer
from app.sandbox.core.params import Doc, Fields, Flag, Many, Number, Spec, Text, Whole
from app.sandbox.core.refusals import missing
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.core.steering import Steering
from app.sandbox.nouns import webhook_endpoints

_WHICH: dict[str, Spec] = {"event": Text(), "types": Many(Text()), "count": Whole(least=1)}
_HOLD = Fields({"types": Many(Text())})
_SHUFFLE = Fields({"seed": Whole(), "backwards": Flag()})
_DUPLICATE = Fields({**_WHICH, "times": Whole(least=1, most=20)})
_DROP = Fields(_WHICH)
_DELAY = Fields({**_WHICH, "seconds": Number(most=10**7)}, needs=("seconds",))
_ROTATE = Fields({"secret": Text(), "expires_in": Whole(most=86_400)})


class PostOffice(Controls):
    """Controls over deliveries and endpoints' secrets."""

    def __init__(self, sandbox: Sandbox, deliverer: Deliverer, after: Callable[[], object]) -> None:
        super().__init__(sandbox, after)
        self._deliverer = deliverer
        self._steering = Steering(sandbox)
        self.routes = [
            self._route("GET", "/deliveries", self._list),
            self._route("POST", "/deliveries/hold", self._hold),
            self._route("POST", "/deliveries/release", self._release),
            self._route("POST", "/deliveries/shuffle", self._shuffle),
            self._route("POST", "/deliveries/duplicate", self._duplicate),
            self._route("POST", "/deliveries/drop", self._drop),
            self._route("POST", "/deliveries/delay", self._delay),
            self._route("POST", "/redeliver/{id}", self._redeliver),
            self._route("POST", "/webhook_endpoints/{id}/rotate", self._rotate),
        ]

    def _list(self, request: Request, sent: Doc) -> Doc:
        rows = self._sandbox.store.rows(
            "SELECT d.id, d.event, d.endpoint, d.state, d.attempts, d.next_attempt_at, "
            "d.last_status, d.last_error, d.finished_at, d.is_copy, "
            "json_extract(o.doc, '$.type') AS type FROM deliveries d "
            "JOIN objects o ON o.id = d.event "
            "WHERE (?1 IS NULL OR d.event = ?1) AND (?2 IS NULL OR d.state = ?2) "
            "ORDER BY d.id DESC LIMIT 500",
            (request.query_params.get("event"), request.query_params.get("state")),
        )
        return {"data": [dict(row) for row in rows]}

    def _hold(self, request: Request, sent: Doc) -> Doc:
        return {"deliveries": self._steering.hold(read(_HOLD, sent).get("types"))}

    def _release(self, request: Request, sent: Doc) -> Doc:
        return {"deliveries": self._steering.release()}

    def _shuffle(self, request: Request, sent: Doc) -> Doc:
        asked = read(_SHUFFLE, sent)
        seed, backwards = asked.get("seed", 0), asked.get("backwards", False)
        return {"deliveries": self._steering.shuffle(seed, backwards=backwards)}

    def _duplicate(self, request: Request, sent: Doc) -> Doc:
        asked = read(_DUPLICATE, sent)
        return {"deliveries": self._steering.duplicate(asked, asked.pop("times", 1))}

    def _drop(self, request: Request, sent: Doc) -> Doc:
        return {"deliveries": self._steering.drop(read(_DROP, sent))}

    def _delay(self, request: Request, sent: Doc) -> Doc:
        asked = read(_DELAY, sent)
        return {"deliveries": self._steering.delay(asked, float(asked["seconds"]))}

    def _redeliver(self, request: Request, sent: Doc) -> Doc:
        id = request.path_params["id"]
        if self._sandbox.find_any(id) is None:
            raise missing("event", id, "id")
        return {"deliveries": self._deliverer.redeliver(id)}

    def _rotate(self, request: Request, sent: Doc) -> Doc:
        """A new secret; the one before signs beside it until it expires."""
        asked = read(_ROTATE, sent)
        secret = asked.get("secret", f"whsec_{ids.token(32)}")
        with self._sandbox.unit():
            endpoint = self._sandbox.get("webhook_endpoint", request.path_params["id"])
            webhook_endpoints.rotate(
                self._sandbox, endpoint, secret, asked.get("expires_in", 86_400)
            )
        return {"id": endpoint["id"], "secret": secret}
