"""The account itself: its objects, its clock and the events that follow from changes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from app.kernel.clock import Clock
from app.sandbox.config import API_VERSION, SandboxConfig
from app.sandbox.core import ids, refusals, versions
from app.sandbox.core.params import Doc
from app.sandbox.core.store import Store

LABELS = {
    "billing_portal.configuration": "configuration",
    "checkout.session": "checkout.session",
    "credit_note": "credit note",
    "payment_method": "PaymentMethod",
    "promotion_code": "promotion code",
    "subscription_schedule": "subscription schedule",
    "test_helpers.test_clock": "test clock",
    "webhook_endpoint": "webhook endpoint",
}


HELD = "deliveries_held"
"""The setting that names the types of events whose deliveries are kept back."""
CLOCK = "test_helpers.test_clock"
_OF_NO_ONE = ("event", "promotion_code")
"""Kinds that name a customer and yet do not live by their clock."""


@dataclass(frozen=True)
class Cause:
    """The API call behind an event; automatic changes have none."""

    request_id: str | None = None
    idempotency_key: str | None = None


class Sandbox:
    """One Stripe account in a file.

    Objects are plain documents. Inside a unit the same id always gives the same document,
    so that two rules which touch one subscription see each other's changes. Keys that begin
    with an underscore are the sandbox's own and never leave it.
    """

    def __init__(self, config: SandboxConfig, clock: Clock) -> None:
        self.config = config
        self.store = Store(config.database)
        self._clock = clock
        self._live: dict[tuple[str, str], Doc] = {}
        self.cause = Cause()
        self._instant: int | None = None
        self._frozen: int | None = None
        self._open = False
        self.followers: Sequence[Callable[[Sandbox, Doc, Doc], None]] = ()
        """What every event makes happen in its own unit, told of the event and its object."""

    # Time --------------------------------------------------------------------------------

    def real_now(self) -> float:
        """The clock of the machine: deliveries, signatures and retries go by it."""
        return self._clock.now().timestamp()

    def now(self) -> int:
        """What time it is for whoever this unit is about.

        The first object a unit meets that lives by a test clock settles it; without one it is
        the account's time, which can be moved ahead of the machine's.
        """
        if self._instant is not None:
            return self._instant
        if self._frozen is not None:
            return self._frozen
        return self.account_now()

    def account_now(self) -> int:
        return int(self.real_now()) + self.offset

    def clock_of(self, doc: Doc) -> str:
        """The test clock an object lives by, or "" for the account's own time."""
        if doc["object"] == CLOCK:
            return str(doc["id"])
        if doc.get("test_clock"):
            return str(doc["test_clock"])
        customer = doc.get("customer", doc.get("_customer"))
        if not isinstance(customer, str) or doc["object"] in _OF_NO_ONE:
            return ""
        holder = self._read("customer", customer)
        return str(holder.get("test_clock") or "") if holder else ""

    def _live_by(self, doc: Doc) -> None:
        if not self._open or self._frozen is not None or self._instant is not None:
            return
        if clock := self.clock_of(doc):
            found = self._read(CLOCK, clock)
            self._frozen = found.get("frozen_time") if found else None

    @property
    def offset(self) -> int:
        return int(self.store.setting("clock_offset") or 0)

    def move_to(self, instant: int) -> None:
        self.store.set("clock_offset", str(instant - int(self.real_now())))

    @contextmanager
    def at(self, instant: int, clock: str = "") -> Iterator[None]:
        """Act as if it were *instant*: what falls due is dated when it fell due."""
        before, self._instant = (self._instant, self._frozen), instant
        self._frozen = instant if clock else None
        try:
            yield
        finally:
            self._instant, self._frozen = before

    # Units -------------------------------------------------------------------------------

    @contextmanager
    def unit(self, cause: Cause | None = None) -> Iterator[None]:
        """Everything inside happens, or nothing; a refusal may ask to keep what it did."""
        self._live.clear()
        self._frozen, self._open = None, True
        self.cause = cause or Cause()
        kept: refusals.Refusal | None = None
        try:
            with self.store.transaction():
                try:
                    yield
                except refusals.Refusal as refusal:
                    if not refusal.keeps_changes:
                        raise
                    kept = refusal
        finally:
            self._live.clear()
            self._frozen, self._open = None, False
            self.cause = Cause()
        if kept is not None:
            raise kept

    # Documents ---------------------------------------------------------------------------

    def find(self, kind: str, id: str) -> Doc | None:
        doc = self._read(kind, id)
        if doc is not None:
            self._live_by(doc)
        return doc

    def _read(self, kind: str, id: str) -> Doc | None:
        if (kind, id) not in self._live:
            text = self.store.read(kind, id)
            if text is None:
                return None
            self._live[kind, id] = json.loads(text)
        return self._live[kind, id]

    def get(self, kind: str, id: str, param: str = "id") -> Doc:
        """The object of a call's path; a deleted one is as good as missing."""
        doc = self.find(kind, id)
        if doc is None or doc.get("deleted"):
            raise refusals.missing(LABELS.get(kind, kind), id, param)
        return doc

    def named(self, kind: str, id: str, param: str) -> Doc:
        """The object a parameter names."""
        doc = self.find(kind, id)
        if doc is None or doc.get("deleted"):
            raise refusals.missing_reference(LABELS.get(kind, kind), id, param)
        return doc

    def find_any(self, id: str) -> Doc | None:
        for kind in self.store.kinds_of(id):
            return self.find(kind, id)
        return None

    def all(self, kind: str, *, oldest_first: bool = False, **equal: Any) -> list[Doc]:
        """Every object of a kind whose fields have these values."""
        conditions = [(f"json_extract(doc, '$.{key}') = ?", value) for key, value in equal.items()]
        rows = self.store.select(kind, conditions, newest_first=not oldest_first)
        return [doc for row in rows if (doc := self.find(kind, row["id"])) is not None]

    def add(self, doc: Doc, event: str | None = None) -> Doc:
        """Keep a new object and tell of it."""
        kind, id = doc["object"], doc["id"]
        self._live[kind, id] = doc
        self.store.write(kind, id, doc.get("created", self.now()), json.dumps(doc))
        if event:
            self.emit(event, doc)
        return doc

    def save(self, doc: Doc, event: str | None = None) -> Doc:
        """Keep a changed object; the event says what was there before.

        Saving what has not changed is silent: an update that updates nothing has no event.
        """
        kind, id = doc["object"], doc["id"]
        before = json.loads(self.store.read(kind, id) or "{}")
        if before == doc:
            return doc
        self._live[kind, id] = doc
        self.store.write(kind, id, doc.get("created", self.now()), json.dumps(doc))
        if event:
            updated = event.endswith(".updated")
            self.emit(
                event, doc, versions.differences(public(before), public(doc)) if updated else None
            )
        return doc

    # Events ------------------------------------------------------------------------------

    def emit(self, type: str, about: Doc, previous: Doc | None = None) -> Doc:
        """Record an event and one delivery of it for every endpoint that listens."""
        if type.endswith(".updated") and previous == {}:
            return {}
        data: Doc = {"object": public(about)}
        if previous is not None:
            data["previous_attributes"] = previous
        event: Doc = {
            "id": ids.new("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.event_time(),
            "data": data,
            "livemode": False,
            "pending_webhooks": 0,
            "request": {
                "id": self.cause.request_id,
                "idempotency_key": self.cause.idempotency_key,
            },
            "type": type,
        }
        self.keep_event(event, listens)
        for follow in self.followers:
            follow(self, event, about)
        return event

    def event_time(self) -> int:
        """Events are dated with the account's time also when a test clock says otherwise."""
        return self.now() if self._frozen is None else self.account_now()

    def keep_event(self, event: Doc, wanted: Callable[[Doc, str], bool]) -> None:
        """Keep an event, and a delivery of it for every endpoint that wants it."""
        listeners = self.listeners(event["type"], wanted)
        if "pending_webhooks" in event:
            event["pending_webhooks"] = len(listeners)
        self._live[event["object"], event["id"]] = event
        self.store.write(event["object"], event["id"], self.event_time(), json.dumps(event))
        held = json.loads(self.store.setting(HELD) or "[]")
        is_held = "*" in held or event["type"] in held
        for endpoint in listeners:
            self.store.run(
                "INSERT INTO deliveries (event, endpoint, next_attempt_at, state, body) "
                "VALUES (?, ?, ?, ?, ?)",
                event["id"],
                endpoint["id"],
                self.real_now(),
                "held" if is_held else "pending",
                self._written_for(endpoint, event),
            )

    def listeners(self, type: str, wanted: Callable[[Doc, str], bool]) -> list[Doc]:
        """The endpoints that want events of a type, in the order in which they were put up."""
        return [
            endpoint
            for endpoint in self.all("webhook_endpoint", oldest_first=True)
            if is_on(endpoint) and wanted(endpoint, type)
        ]

    def _written_for(self, endpoint: Doc, event: Doc) -> str | None:
        """What an endpoint of an earlier version is sent; nothing if it is the event itself."""
        version = endpoint["api_version"] or API_VERSION
        if event["object"] != "event" or version == API_VERSION:
            return None
        told = versions.event_for(self, event, version)
        return json.dumps(told, indent=2, ensure_ascii=False)

    # Appointments ------------------------------------------------------------------------

    def wake(self, doc: Doc, due: int | None) -> None:
        """Look at this object again at *due*; one appointment per object, the last one counts."""
        kind, id = doc["object"], doc["id"]
        if due is None:
            self.store.run("DELETE FROM alarms WHERE kind = ? AND id = ?", kind, id)
            return
        self.store.run(
            "INSERT INTO alarms (kind, id, due, clock) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET due = excluded.due, clock = excluded.clock",
            kind,
            id,
            due,
            self.clock_of(doc),
        )


def is_on(endpoint: Doc) -> bool:
    """Whether an endpoint is sent anything at all."""
    return not endpoint.get("deleted") and endpoint["status"] == "enabled"


def listens(endpoint: Doc, type: str) -> bool:
    """Whether an endpoint wants events of a type with the object in them."""
    if endpoint.get("_payload") == "thin":
        return False
    return "*" in endpoint["enabled_events"] or type in endpoint["enabled_events"]


def public(value: Any) -> Any:
    """A copy without what is the sandbox's own."""
    if isinstance(value, dict):
        return {key: public(inner) for key, inner in value.items() if not key.startswith("_")}
    if isinstance(value, list):
        return [public(inner) for inner in value]
    return value
