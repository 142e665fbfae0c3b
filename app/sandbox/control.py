"""`/_sandbox/`: what a test or an operator may do that Stripe does not offer."""

from collections.abc import Callable

from starlette.requests import Request

from app.sandbox.billing import metering, settings, standing
from app.sandbox.config import API_VERSION
from app.sandbox.controlling import Controls, read
from app.sandbox.core import params as reading
from app.sandbox.core.faults import Faults
from app.sandbox.core.params import Doc, Fields, Many, Text, Url, Whole, one_of
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox, public
from app.sandbox.core.timeline import Timeline
from app.sandbox.core.versions import VERSIONS
from app.sandbox.nouns import meters, prices, products, webhook_endpoints

_HOUR = 3_600
_FARTHEST = 20 * 366 * 86_400
_SEED = Fields(
    {
        "products": Many(Fields({**products.CREATE.known}, needs=("id", "name")), most=1_000),
        "prices": Many(
            Fields({**prices.CREATE.known, "id": Text()}, needs=("id", "currency", "product")),
            most=1_000,
        ),
        "meters": Many(
            Fields({**meters.CREATE.known, "id": Text()}, needs=("id", "event_name")), most=1_000
        ),
    }
)
_METERING = Fields({"lag_seconds": Whole(most=86_400), "checked_later": reading.Flag()})
_ENDPOINT = Fields(
    {
        "url": Url(),
        "secret": Text(),
        "enabled_events": Many(Text(), most=400),
        "payload": one_of("snapshot", "thin", "both"),
        "api_version": one_of(*VERSIONS, API_VERSION),
    },
    needs=("url", "secret"),
)
_ADVANCE = Fields({"to": reading.instant(), "days": Whole(), "seconds": Whole()})
_CARD = Fields({"authentication": one_of("always", "never"), "decline_code": Text(clears=True)})


class Control(Controls):
    """Controls over the account as a whole."""

    def __init__(
        self,
        sandbox: Sandbox,
        timeline: Timeline,
        faults: Faults,
        after: Callable[[], object],
    ) -> None:
        super().__init__(sandbox, after)
        self._timeline = timeline
        self._faults = faults
        self.routes = [
            self._route("POST", "/reset", self._reset),
            self._route("POST", "/seed", self._seed),
            self._route("POST", "/webhook_endpoints", self._put_endpoint),
            self._route("GET", "/settings", self._tell_settings),
            self._route("POST", "/settings", self._change_settings),
            self._route("GET", "/clock", self._tell_time),
            self._route("POST", "/clock/advance", self._advance),
            self._route("POST", "/renew/{id}", self._renew),
            self._route("POST", "/meters", self._set_metering),
            self._route("POST", "/payment_methods/{id}", self._change_card),
        ]

    def _reset(self, request: Request, sent: Doc) -> Doc:
        self._sandbox.store.clear()
        self._faults.ordered.clear()
        return {"reset": True}

    def _seed(self, request: Request, sent: Doc) -> Doc:
        """Put up products, meters and prices under fixed ids; again changes nothing.

        The meter of a metered price need not be named: it counts what its id is called after.
        """
        seed = read(_SEED, sent)
        with self._sandbox.unit():
            for one in seed.get("products", []):
                product = self._sandbox.find("product", one["id"])
                product = product or products.blank(self._sandbox, one["id"], one["name"])
                products.write(product, one)
                self._sandbox.save(product)
            for one in seed.get("meters", []):
                self._put_meter(one["id"], one)
            for one in seed.get("prices", []):
                self._sandbox.named("product", one["product"], "product")
                meter = one.get("recurring", {}).get("meter")
                if meter and self._sandbox.find("billing.meter", meter) is None:
                    self._put_meter(meter, {"event_name": meter.removeprefix("mtr_")})
                price = prices.build(self._sandbox, one["id"], one["product"], one)
                if (old := self._sandbox.find("price", one["id"])) is not None:
                    price["created"] = old["created"]
                self._sandbox.save(price)
        return {key: len(seed.get(key, [])) for key in ("products", "meters", "prices")}

    def _put_meter(self, id: str, sent: Doc) -> None:
        meter = meters.blank(self._sandbox, id, sent["event_name"], sent["event_name"])
        meter.update(sent)
        if (old := self._sandbox.find("billing.meter", id)) is not None:
            meter.update(created=old["created"], updated=old["updated"])
        self._sandbox.save(meter)

    def _set_metering(self, request: Request, sent: Doc) -> Doc:
        """How long summaries lag, and whether wrong events are told of only afterwards."""
        asked = read(_METERING, sent)
        with self._sandbox.unit():
            if "lag_seconds" in asked:
                self._sandbox.store.set(metering.LAG, str(asked["lag_seconds"]))
            if "checked_later" in asked:
                self._sandbox.store.set(metering.CHECKED_LATER, str(int(asked["checked_later"])))
        return {
            "lag_seconds": int(self._sandbox.store.setting(metering.LAG) or 0),
            "checked_later": self._sandbox.store.setting(metering.CHECKED_LATER) == "1",
        }

    def _put_endpoint(self, request: Request, sent: Doc) -> Doc:
        """Deliver to a URL with a known secret; one endpoint per URL, however often asked."""
        asked = read(_ENDPOINT, sent)
        with self._sandbox.unit():
            known = self._sandbox.all("webhook_endpoint", url=asked["url"])
            endpoint = (
                known[0]
                if known
                else webhook_endpoints.add(self._sandbox, asked["url"], [], asked["secret"])
            )
            endpoint.update(
                status="enabled",
                enabled_events=asked.get("enabled_events", ["*"]),
                api_version=asked.get("api_version", API_VERSION),
                _secret=asked["secret"],
                _payload=asked.get("payload", "snapshot"),
            )
            self._sandbox.save(endpoint)
        answer: Doc = public(endpoint)
        return answer

    def _tell_settings(self, request: Request, sent: Doc) -> Doc:
        return settings.shown(settings.of(self._sandbox))

    def _change_settings(self, request: Request, sent: Doc) -> Doc:
        return settings.shown(settings.change(self._sandbox, read(settings.CHANGES, sent)))

    def _tell_time(self, request: Request, sent: Doc) -> Doc:
        row = self._sandbox.store.row("SELECT min(due) AS due FROM alarms WHERE clock = ''")
        return {
            "now": self._sandbox.now(),
            "offset": self._sandbox.offset,
            "next_due": row["due"] if row else None,
        }

    def _advance(self, request: Request, sent: Doc) -> Doc:
        asked = read(_ADVANCE, sent)
        now = self._sandbox.now()
        to = asked.get("to", now + asked.get("days", 0) * 86_400 + asked.get("seconds", 0))
        if not now <= to <= now + _FARTHEST:
            raise invalid("Time moves ahead only, and at most twenty years at once.", "to")
        done = self._timeline.advance(to)
        return {"now": to, "appointments_kept": done}

    def _renew(self, request: Request, sent: Doc) -> Doc:
        """Move the clock to where this subscription's next invoice has been collected."""
        id = request.path_params["id"]
        with self._sandbox.unit():
            subscription = self._sandbox.get("subscription", id)
            if subscription["status"] in standing.TERMINAL:
                raise invalid(f"Subscription {id} has ended.")
            due = max(standing.renewal_due(subscription), self._sandbox.now())
            clock = self._sandbox.clock_of(subscription)
        self._timeline.advance(due + _HOUR, clock)
        with self._sandbox.unit():
            subscription = self._sandbox.get("subscription", id)
            invoice = self._sandbox.find("invoice", subscription["latest_invoice"])
        return {"subscription": public(subscription), "invoice": public(invoice)}

    def _change_card(self, request: Request, sent: Doc) -> Doc:
        """Let a card that worked decline or ask its holder from now on, or work again."""
        asked = read(_CARD, sent)
        code = asked.get("decline_code") or None
        with self._sandbox.unit():
            method = self._sandbox.get("payment_method", request.path_params["id"])
            if code not in (None, "generic_decline", "insufficient_funds"):
                raise invalid("Unknown decline_code.", "decline_code")
            method["_decline_code"] = code
            method["_authenticates"] = asked.get("authentication", method.get("_authenticates"))
            self._sandbox.save(method)
        return {"id": method["id"], "decline_code": code}
